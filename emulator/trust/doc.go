// Package trust makes the emulator's certificate authority and server
// certificate, keeps them in a directory, and writes the bundle that clients
// trust: the authority together with the system's own roots.
//
// The names of the files are part of the contract with scripts and containers:
//
//	ca.pem          the authority's certificate; import or point at this
//	ca-key.pem      its private key, mode 0600
//	ca-bundle.pem   ca.pem followed by the system's roots, for SSL_CERT_FILE
//	ca-bundle.p12   the same as a trust store for Java, made by `hubnerite env`
//	server.pem      the server certificate followed by the authority's
//	server-key.pem  its private key, mode 0600
//	device-ca.pem, device-ca-key.pem
//	                the authority that issues certificates to devices for tests,
//	                made when the first one is wanted
package trust

// Names of the files in the directory.
const (
	CAFile        = "ca.pem"
	CAKeyFile     = "ca-key.pem"
	BundleFile    = "ca-bundle.pem"
	JavaStoreFile = "ca-bundle.p12"
	ServerFile    = "server.pem"
	ServerKeyFile = "server-key.pem"
)
