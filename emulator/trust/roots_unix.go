//go:build !windows

package trust

// platformRoots reads the bundle where distributions put it. macOS keeps its
// roots in key chains and a copy for OpenSSL's children in /etc/ssl/cert.pem.
func platformRoots() []byte {
	return rootsFromFiles(
		[]string{
			"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Arch, Gentoo
			"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
			"/etc/pki/tls/certs/ca-bundle.crt",                  // older Fedora, RHEL
			"/etc/ssl/ca-bundle.pem",                            // openSUSE
			"/etc/ssl/cert.pem",                                 // Alpine, macOS, FreeBSD
			"/usr/local/share/certs/ca-root-nss.crt",            // older FreeBSD
		},
		[]string{"/etc/ssl/certs", "/etc/pki/tls/certs", "/system/etc/security/cacerts"},
	)
}
