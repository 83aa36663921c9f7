package trust

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"software.sslmate.com/src/go-pkcs12"
)

// JavaPassword is the password of every trust store that JavaStore makes, Java's
// own default. What is in there is public.
const JavaPassword = pkcs12.DefaultPassword

// JavaStore returns a bundle as a PKCS #12 trust store for Java, which reads no
// PEM. The first certificate has the alias hubnerite, the others root-1 and so
// on. What Go takes for no certificate is left out.
func JavaStore(bundle []byte) ([]byte, error) {
	var entries []pkcs12.TrustStoreEntry
	for {
		var block *pem.Block
		if block, bundle = pem.Decode(bundle); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue
		}
		// Java keeps one certificate of an alias.
		alias := "hubnerite"
		if len(entries) > 0 {
			alias = fmt.Sprintf("root-%d", len(entries))
		}
		entries = append(entries, pkcs12.TrustStoreEntry{Cert: certificate, FriendlyName: alias})
	}
	// The old algorithms are those that Java 8 and 11 read, too.
	return pkcs12.LegacyDES.EncodeTrustStoreEntries(entries, JavaPassword)
}
