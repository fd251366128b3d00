package main

import (
	"bufio"
	"io"
	"os"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// upload is the guide's first program: initiate, upload each part of a file, complete.
func upload(bucket *oss.Bucket, o options) error {
	chunks, err := oss.SplitFileByPartNum(o.file, o.parts)
	if err != nil {
		return err
	}
	file, err := os.Open(o.file)
	if err != nil {
		return err
	}
	defer file.Close()

	started, err := bucket.InitiateMultipartUpload(o.key)
	if err != nil {
		return err
	}
	show(map[string]any{"Bucket": started.Bucket, "Key": started.Key, "UploadId": started.UploadID})
	wait(o)

	var sent []oss.UploadPart
	for _, chunk := range chunks {
		if chunk.Number == o.skip {
			continue
		}
		if _, err := file.Seek(chunk.Offset, io.SeekStart); err != nil {
			return err
		}
		part, err := bucket.UploadPart(started, file, chunk.Size, chunk.Number)
		if err != nil {
			return err
		}
		show(map[string]any{"PartNumber": part.PartNumber, "ETag": part.ETag, "Size": chunk.Size})
		wait(o)
		sent = append(sent, part)
	}
	return finish(bucket, started, sent)
}

// wait ends a step of a program that runs with -step.
func wait(o options) {
	if !o.step {
		return
	}
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		os.Exit(3)
	}
}

func finish(bucket *oss.Bucket, started oss.InitiateMultipartUploadResult, parts []oss.UploadPart) error {
	done, err := bucket.CompleteMultipartUpload(started, parts)
	if err != nil {
		return err
	}
	show(map[string]any{"Location": done.Location, "Bucket": done.Bucket, "Key": done.Key, "ETag": done.ETag})
	return nil
}

// abort is the guide's second program. It aborts an upload that is given, or else one that it initiates.
func abort(bucket *oss.Bucket, o options) error {
	started := existing(bucket, o)
	if o.uploadID == "" {
		var err error
		if started, err = bucket.InitiateMultipartUpload(o.key); err != nil {
			return err
		}
	}
	if err := bucket.AbortMultipartUpload(started); err != nil {
		return err
	}
	show(map[string]any{"UploadId": started.UploadID})
	return nil
}

// complete completes an upload that another program started, with all parts that OSS has.
func complete(bucket *oss.Bucket, o options) error {
	started := existing(bucket, o)
	listed, err := uploadedParts(bucket, started)
	if err != nil {
		return err
	}
	var parts []oss.UploadPart
	for _, part := range listed {
		parts = append(parts, oss.UploadPart{PartNumber: part.PartNumber, ETag: part.ETag})
	}
	return finish(bucket, started, parts)
}

// existing is the upload of a key and an id: all that the SDK needs to know of an upload.
func existing(bucket *oss.Bucket, o options) oss.InitiateMultipartUploadResult {
	return oss.InitiateMultipartUploadResult{Bucket: bucket.BucketName, Key: o.key, UploadID: o.uploadID}
}

// resume uploads a file with UploadFile, which sends only the parts that its checkpoint does not have.
func resume(bucket *oss.Bucket, o options) error {
	err := bucket.UploadFile(o.key, o.file, o.partSize, oss.Checkpoint(true, o.checkpoint), oss.Routines(1))
	if err != nil {
		return err
	}
	show(map[string]any{"Key": o.key})
	return nil
}
