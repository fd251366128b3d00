"""Corrects the pages of ListMultipartUploads that stores return: order, repair, folders. Pure."""
