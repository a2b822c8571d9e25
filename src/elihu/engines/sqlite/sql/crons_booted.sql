-- When a first node last started.
SELECT at FROM boot
