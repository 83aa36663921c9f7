package iothub

import (
	"strings"
	"time"
)

// MaxCACertificates is the most certificate authorities of a hub.
// Source: IoT Hub devguide, quotas and throttling.
const MaxCACertificates = 25

// CACertificate is a registered certificate authority, whose certificates open
// the devices and modules of the type certificateAuthority once it is verified.
// Source: IoT Hub resource API, Certificates.
type CACertificate struct {
	// Name is compared without regard to case.
	Name string
	// DER is the certificate.
	DER []byte
	// Subject is its distinguished name, Thumbprint the SHA-1 of DER in upper case
	// hex, as the service shows it.
	Subject, Thumbprint string
	Expiry              time.Time
	// Verified says that whoever registered it has its key, or said so.
	Verified bool
	// VerificationCode is what the common name of the proof must be; "" when no
	// code was asked for since the last proof.
	VerificationCode string
	Created, Updated time.Time
}

// ValidateCAName returns ArgumentInvalid unless name has 1 to 64 letters,
// digits, dots, hyphens and underscores.
// Source: IoT Hub resource API, Certificates (certificateName).
func ValidateCAName(name string) error {
	bad := strings.IndexFunc(name, func(r rune) bool {
		return r != '-' && r != '.' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	if name == "" || len(name) > 64 || bad >= 0 {
		return NewError(CodeArgumentInvalid,
			"%.80q is no name of a CA: 1 to 64 letters, digits, dots, hyphens and underscores.", name)
	}
	return nil
}
