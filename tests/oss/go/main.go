// Command ossguide runs the programs of the guide "Multipart upload" of the OSS SDK for Go against one bucket.
//
//	ossguide upload -key KEY -file FILE -parts 3     initiate, upload the parts of a file, complete
//	ossguide abort -key KEY [-upload-id ID]          abort an upload, or a new one
//	ossguide parts -key KEY -upload-id ID            list the parts of an upload that another program started
//	ossguide complete -key KEY -upload-id ID         complete it with all of its parts
//	ossguide uploads [-prefix P] [-max-uploads N]    list the uploads of the bucket, page by page
//	ossguide resume -key KEY -file FILE -checkpoint C    upload a file, or the rest of it (UploadFile)
//
// It prints one JSON document per line, with the names of the API. An error of the service is printed in the same way,
// and the exit status is 1. With -step, `upload` waits for a line on its standard input after each step, and `resume`
// before each request.
//
// The environment has OSS_ENDPOINT, OSS_REGION, OSS_BUCKET, OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET, and optionally
// OSS_SESSION_TOKEN. OSS_AUTH_VERSION is v1, v2 or v4.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// options are the flags of all programs.
type options struct {
	key, uploadID, file, checkpoint              string
	parts, skip                                  int
	partSize                                     int64
	step                                         bool
	prefix, delimiter, keyMarker, uploadIDMarker string
	maxUploads                                   int
	all                                          bool
}

var programs = map[string]func(*oss.Bucket, options) error{
	"upload":   upload,
	"abort":    abort,
	"parts":    listParts,
	"complete": complete,
	"uploads":  listUploads,
	"resume":   resume,
}

func main() {
	if len(os.Args) < 2 || programs[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: ossguide upload|abort|parts|complete|uploads|resume [flags]")
		os.Exit(2)
	}
	given := parse(os.Args[1], os.Args[2:])
	bucket, err := connect(given, os.Args[1] == "resume")
	if err == nil {
		err = programs[os.Args[1]](bucket, given)
	}
	if err != nil {
		show(failure(err))
		os.Exit(1)
	}
}

func parse(program string, args []string) options {
	var o options
	flags := flag.NewFlagSet(program, flag.ExitOnError)
	flags.StringVar(&o.key, "key", "", "the key of the object")
	flags.StringVar(&o.uploadID, "upload-id", "", "the id of an upload")
	flags.StringVar(&o.file, "file", "", "the file to upload")
	flags.StringVar(&o.checkpoint, "checkpoint", "", "the file that remembers the parts that were sent")
	flags.IntVar(&o.parts, "parts", 3, "the number of parts")
	flags.IntVar(&o.skip, "skip", 0, "the number of a part that is not uploaded")
	flags.Int64Var(&o.partSize, "part-size", 100*1024, "the size of a part in bytes")
	flags.BoolVar(&o.step, "step", false, "wait for a line on standard input after each step")
	flags.StringVar(&o.prefix, "prefix", "", "list keys with this prefix only")
	flags.StringVar(&o.delimiter, "delimiter", "", "group keys by this delimiter")
	flags.StringVar(&o.keyMarker, "key-marker", "", "list keys after this one")
	flags.StringVar(&o.uploadIDMarker, "upload-id-marker", "", "list the same key after this upload")
	flags.IntVar(&o.maxUploads, "max-uploads", 0, "the size of a page")
	flags.BoolVar(&o.all, "all", false, "list all pages")
	_ = flags.Parse(args)
	return o
}

// show prints a document on a line of its own.
func show(document any) {
	if err := json.NewEncoder(os.Stdout).Encode(document); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func failure(err error) map[string]any {
	var service oss.ServiceError
	if errors.As(err, &service) {
		return map[string]any{
			"Status": service.StatusCode, "Code": service.Code, "Message": service.Message,
			"RequestId": service.RequestID, "HostId": service.HostID, "EC": service.Ec,
		}
	}
	return map[string]any{"Code": "", "Message": err.Error()}
}
