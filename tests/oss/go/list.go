package main

import (
	"strconv"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// listParts prints the parts of an upload of which only key and id are known.
func listParts(bucket *oss.Bucket, o options) error {
	parts, err := uploadedParts(bucket, existing(bucket, o))
	if err != nil {
		return err
	}
	for _, part := range parts {
		show(map[string]any{
			"PartNumber": part.PartNumber, "ETag": part.ETag, "Size": part.Size, "LastModified": part.LastModified,
		})
	}
	return nil
}

// uploadedParts returns all parts of an upload, page by page.
func uploadedParts(bucket *oss.Bucket, started oss.InitiateMultipartUploadResult) ([]oss.UploadedPart, error) {
	var parts []oss.UploadedPart
	for marker := 0; ; {
		page, err := bucket.ListUploadedParts(started, oss.PartNumberMarker(marker))
		if err != nil {
			return nil, err
		}
		parts = append(parts, page.UploadedParts...)
		if !page.IsTruncated {
			return parts, nil
		}
		if marker, err = strconv.Atoi(page.NextPartNumberMarker); err != nil {
			return nil, err
		}
	}
}

// listUploads prints a page of the uploads of the bucket, or with -all every page after the markers.
func listUploads(bucket *oss.Bucket, o options) error {
	keyMarker, uploadIDMarker := o.keyMarker, o.uploadIDMarker
	for {
		settings := []oss.Option{oss.KeyMarker(keyMarker), oss.UploadIDMarker(uploadIDMarker)}
		if o.prefix != "" {
			settings = append(settings, oss.Prefix(o.prefix))
		}
		if o.delimiter != "" {
			settings = append(settings, oss.Delimiter(o.delimiter))
		}
		if o.maxUploads != 0 {
			settings = append(settings, oss.MaxUploads(o.maxUploads))
		}
		page, err := bucket.ListMultipartUploads(settings...)
		if err != nil {
			return err
		}
		showPage(page)
		if !o.all || !page.IsTruncated {
			return nil
		}
		keyMarker, uploadIDMarker = page.NextKeyMarker, page.NextUploadIDMarker
	}
}

func showPage(page oss.ListMultipartUploadResult) {
	uploads := []any{}
	for _, upload := range page.Uploads {
		uploads = append(uploads, map[string]any{
			"Key": upload.Key, "UploadId": upload.UploadID, "Initiated": upload.Initiated,
		})
	}
	show(map[string]any{
		"Bucket": page.Bucket, "Prefix": page.Prefix, "Delimiter": page.Delimiter, "MaxUploads": page.MaxUploads,
		"KeyMarker": page.KeyMarker, "UploadIdMarker": page.UploadIDMarker,
		"NextKeyMarker": page.NextKeyMarker, "NextUploadIdMarker": page.NextUploadIDMarker,
		"IsTruncated": page.IsTruncated, "Uploads": uploads, "CommonPrefixes": page.CommonPrefixes,
	})
}
