"""An example: subscriptions of several shops, whose owners are reminded and whose
receipts are sent by triggers.
"""
