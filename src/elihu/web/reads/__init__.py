"""What the pages read: one page's figures a file, each bounded."""
