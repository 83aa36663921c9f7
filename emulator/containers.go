package emulator

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"strconv"

	"github.com/hubnerite/hubnerite/blobcontainer"
	"github.com/hubnerite/hubnerite/hub"
)

// openContainers returns what opens the blob containers of import and export jobs, in accounts that
// the system trusts or that have a certificate of the emulator's own authority. done lets go
// of idle connections.
func (e *Emulator) openContainers() (open hub.Containers, done func()) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a system without roots
	}
	pool.AppendCertsFromPEM(e.trust.CA)
	var dialer net.Dialer
	t := &http.Transport{
		// Programs may reach the emulator's own account by a name that only they can resolve.
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if host, port, err := net.SplitHostPort(address); err == nil && port == strconv.Itoa(portOf(e.listeners[nameHTTPS])) && (e.covered.Cover(host) || e.lookup(host) != e.first) {
				address = e.listeners[nameHTTPS].Addr().String()
			}
			return dialer.DialContext(ctx, network, address)
		},
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
	}
	return blobcontainer.Opener(&http.Client{Transport: t}), t.CloseIdleConnections
}
