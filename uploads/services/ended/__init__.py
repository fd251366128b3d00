"""Ends of uploads, noted in the inventory at once: in the transaction that writes what ended them."""
