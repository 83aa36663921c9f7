package emulator

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"

	"github.com/hubnerite/hubnerite/blobcontainer"
	"github.com/hubnerite/hubnerite/hub"
)

// containers opens the blob containers of import and export jobs, in accounts that
// the system trusts or that have a certificate of the emulator's own authority. done lets go
// of idle connections.
func (e *Emulator) containers() (open hub.Containers, done func()) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a system without roots
	}
	pool.AppendCertsFromPEM(e.trust.CA)
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
	}
	return blobcontainer.Opener(&http.Client{Transport: t}), t.CloseIdleConnections
}
