package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"
)

var versions = map[string]oss.AuthVersionType{"v1": oss.AuthV1, "v2": oss.AuthV2, "v4": oss.AuthV4}

// connect returns the bucket of the environment. Programs that do not know their steps wait before each request.
func connect(o options, waits bool) (*oss.Bucket, error) {
	var transport http.RoundTripper = &http.Transport{DialContext: dial}
	if waits && o.step {
		transport = &steppingTransport{transport, o}
	}
	settings := []oss.ClientOption{
		oss.AuthVersion(versions[os.Getenv("OSS_AUTH_VERSION")]),
		oss.Region(os.Getenv("OSS_REGION")),
		oss.HTTPClient(&http.Client{Transport: transport}),
	}
	if token := os.Getenv("OSS_SESSION_TOKEN"); token != "" {
		settings = append(settings, oss.SecurityToken(token))
	}
	client, err := oss.New(
		os.Getenv("OSS_ENDPOINT"), os.Getenv("OSS_ACCESS_KEY_ID"), os.Getenv("OSS_ACCESS_KEY_SECRET"), settings...)
	if err != nil {
		return nil, err
	}
	return client.Bucket(os.Getenv("OSS_BUCKET"))
}

// dial connects to this machine for names that end with .localhost (RFC 6761, section 6.3). Go asks the name server.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	var dialer net.Dialer
	host, port, err := net.SplitHostPort(address)
	if err == nil && strings.HasSuffix(host, ".localhost") {
		address = net.JoinHostPort("127.0.0.1", port)
	}
	return dialer.DialContext(ctx, network, address)
}

// steppingTransport prints each request and waits before it sends it.
type steppingTransport struct {
	http.RoundTripper
	o options
}

func (t *steppingTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	show(map[string]any{"Method": request.Method, "Query": request.URL.RawQuery})
	wait(t.o)
	return t.RoundTripper.RoundTrip(request)
}
