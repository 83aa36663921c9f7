package trust

import (
	"bytes"
	"encoding/pem"
)

// bundleMark opens every bundle, so that a bundle which the environment names
// as the system's roots is not taken for them.
const bundleMark = "# Hubnerite's certificate authority and the system's roots\n"

// Bundle returns ca followed by roots (both PEM), each certificate once. What
// is not a certificate is left out.
func Bundle(ca, roots []byte) []byte {
	out := bytes.NewBufferString(bundleMark)
	seen := make(map[string]bool)
	for _, text := range [][]byte{ca, roots} {
		for {
			var block *pem.Block
			if block, text = pem.Decode(text); block == nil {
				break
			}
			if block.Type == "CERTIFICATE" && !seen[string(block.Bytes)] {
				seen[string(block.Bytes)] = true
				out.Write(certificatePEM(block.Bytes))
			}
		}
	}
	return out.Bytes()
}

// isBundle reports whether text is a bundle of this package.
func isBundle(text []byte) bool { return bytes.HasPrefix(text, []byte(bundleMark)) }
