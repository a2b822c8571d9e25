"""What a node does: its services, one file each, and the node that starts and stops
them in order.
"""
