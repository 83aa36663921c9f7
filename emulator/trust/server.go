package trust

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options say which certificates a Server has. The zero value is not useful:
// Dir is required.
type Options struct {
	// Dir is an existing directory where the files are kept.
	Dir string
	// Hosts are further host names or addresses of the server certificate.
	Hosts []string
	// CertFile and KeyFile name a certificate chain and key to use instead of
	// the emulator's own; both or none.
	CertFile, KeyFile string
	// Now is the time to judge and issue certificates by; zero means time.Now.
	Now time.Time
}

// Server is what a TLS server and its clients need.
type Server struct {
	Certificate tls.Certificate
	// CAFile is what clients must trust: the authority's certificate, or the
	// given CertFile. BundleFile is CAFile with the system's roots.
	CAFile, BundleFile string
	// CA is the content of CAFile.
	CA []byte
	// Notices are remarks for the person who started the emulator, such as a
	// given certificate that does not cover a host name.
	Notices []string

	// authority is nil when the certificate was given.
	authority *Authority
	mu        sync.RWMutex
	// others are the certificates of names that came at run time, by name in lower case.
	others map[string]*tls.Certificate
}

// Load reads or makes the certificates and writes the bundle.
func Load(o Options) (*Server, error) {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	var s *Server
	var err error
	if o.CertFile != "" || o.KeyFile != "" {
		s, err = given(o)
	} else {
		s, err = own(o)
	}
	if err != nil {
		return nil, err
	}
	s.BundleFile = filepath.Join(o.Dir, BundleFile)
	if err := WriteFile(s.BundleFile, Bundle(s.CA, SystemRoots()), 0o644); err != nil {
		return nil, err
	}
	return s, nil
}

func own(o Options) (*Server, error) {
	known := exists(filepath.Join(o.Dir, CAFile))
	authority, made, err := LoadOrCreateAuthority(o.Dir, o.Now)
	if err != nil {
		return nil, err
	}
	s := &Server{CAFile: filepath.Join(o.Dir, CAFile), CA: authority.PEM(), authority: authority}
	if made && known {
		s.Notices = append(s.Notices, "the certificate authority had ended and there is a new one; clients must trust "+s.CAFile)
	}
	s.Certificate, _, err = authority.Server(o.Dir, ServerNames(o.Hosts...), o.Now)
	return s, err
}

func given(o Options) (*Server, error) {
	if o.CertFile == "" || o.KeyFile == "" {
		return nil, fmt.Errorf("a certificate of one's own needs both its file and its key's file")
	}
	certificate, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", o.CertFile, o.KeyFile, err)
	}
	text, err := os.ReadFile(o.CertFile)
	if err != nil {
		return nil, err
	}
	path, err := filepath.Abs(o.CertFile)
	if err != nil {
		return nil, err
	}
	s := &Server{Certificate: certificate, CAFile: path, CA: text}
	if o.Now.After(certificate.Leaf.NotAfter) {
		s.Notices = append(s.Notices, fmt.Sprintf("%s ended on %s; clients will refuse it", o.CertFile, certificate.Leaf.NotAfter.Format(time.DateOnly)))
	}
	for _, host := range o.Hosts {
		if err := certificate.Leaf.VerifyHostname(host); err != nil {
			s.Notices = append(s.Notices, fmt.Sprintf("%s does not cover the host name %s", o.CertFile, host))
		}
	}
	return s, nil
}

// Config returns the TLS settings of the listeners: TLS 1.2 (the Python device
// SDK speaks no other) and 1.3, and a client certificate requested but neither
// required nor verified, because devices present self-signed ones; the
// registry judges them. Session tickets are on.
func (s *Server) Config() *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{s.Certificate},
		ClientAuth:   tls.RequestClientCert,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			s.mu.RLock()
			defer s.mu.RUnlock()
			// None means the one above.
			return s.others[strings.ToLower(hello.ServerName)], nil
		},
	}
}

// Cover makes a certificate for names that the server's does not cover, which clients get who ask for one
// of them. It is made anew by each process. A certificate that was given stays the only one: then clients
// that check such a name refuse it.
func (s *Server) Cover(hosts []string, now time.Time) error {
	missing := slices.DeleteFunc(slices.Clone(hosts), func(host string) bool { return s.Certificate.Leaf.VerifyHostname(host) == nil })
	if s.authority == nil || len(missing) == 0 {
		return nil
	}
	leaf, key, err := s.authority.issue(ServerNames(hosts...), now)
	if err != nil {
		return err
	}
	c := &tls.Certificate{Certificate: [][]byte{leaf.Raw, s.authority.Certificate.Raw}, PrivateKey: key, Leaf: leaf}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.others == nil {
		s.others = map[string]*tls.Certificate{}
	}
	for _, host := range missing {
		s.others[strings.ToLower(host)] = c
	}
	return nil
}

// Issue makes a certificate of the authority for exactly these names and this time, which need not make sense: it is for faults. Without an
// authority of its own, because the certificate was given, there is an error.
func (s *Server) Issue(hosts []string, notBefore, notAfter time.Time) (tls.Certificate, error) {
	if s.authority == nil {
		return tls.Certificate{}, errors.New("the certificate was given, and with it no authority that could sign another one")
	}
	var names Names
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			names.IP = append(names.IP, ip)
		} else {
			names.DNS = append(names.DNS, host)
		}
	}
	leaf, key, err := s.authority.issueFor(names, notBefore, notAfter)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, s.authority.Certificate.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// Uncover takes Cover back.
func (s *Server) Uncover(hosts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, host := range hosts {
		delete(s.others, strings.ToLower(host))
	}
}
