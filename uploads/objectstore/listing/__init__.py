"""Pages of ListMultipartUploads as stores return them, corrected: order, repair, folders. Pure."""
