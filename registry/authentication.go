package registry

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/hubnerite/hubnerite/iothub"
)

// authenticationOf completes the authentication part of a request: keys left
// out are generated, a missing type is guessed from what is there.
// Source: IoT Hub service API 2021-04-12, AuthenticationMechanism; keys have 16
// to 64 bytes, both or neither.
func authenticationOf(id iothub.ID, req *iothub.AuthenticationRequest) (iothub.Authentication, error) {
	if req == nil {
		req = &iothub.AuthenticationRequest{}
	}
	var auth iothub.Authentication
	if t := req.X509Thumbprint; t != nil {
		if err := validateThumbprints(*t); err != nil {
			return auth, err
		}
		auth.X509Thumbprint = normalThumbprint(*t)
	}
	auth.Type = authenticationType(req.Type)
	if auth.Type == "" {
		auth.Type = iothub.AuthSAS
		if auth.X509Thumbprint.PrimaryThumbprint != nil || auth.X509Thumbprint.SecondaryThumbprint != nil {
			auth.Type = iothub.AuthSelfSigned
		}
	}
	switch auth.Type {
	case iothub.AuthNone:
		if !id.IsModule() {
			return auth, iothub.NewError(iothub.CodeArgumentInvalid, "DeviceAuthenticationTypeIsMissing: a device needs an authentication type.")
		}
		auth.Type = iothub.AuthSAS
	case iothub.AuthSAS, iothub.AuthSelfSigned, iothub.AuthCertificateAuthority:
	default:
		return auth, iothub.NewError(iothub.CodeArgumentInvalid, "authentication.type must be sas, selfSigned, certificateAuthority or none.")
	}
	if auth.Type != iothub.AuthSAS {
		return auth, nil
	}
	auth.X509Thumbprint = iothub.X509Thumbprint{}
	var err error
	auth.SymmetricKey, err = symmetricKeyOf(req.SymmetricKey)
	return auth, err
}

// authenticationType returns the type in the service's spelling; the service takes
// any case.
func authenticationType(t iothub.AuthenticationType) iothub.AuthenticationType {
	for _, known := range []iothub.AuthenticationType{
		iothub.AuthSAS, iothub.AuthSelfSigned, iothub.AuthCertificateAuthority, iothub.AuthNone,
	} {
		if strings.EqualFold(string(t), string(known)) {
			return known
		}
	}
	return t
}

func symmetricKeyOf(k *iothub.SymmetricKey) (iothub.SymmetricKey, error) {
	if k == nil || k.PrimaryKey == "" && k.SecondaryKey == "" {
		return iothub.SymmetricKey{PrimaryKey: newKey(), SecondaryKey: newKey()}, nil
	}
	for _, key := range []string{k.PrimaryKey, k.SecondaryKey} {
		if b, err := base64.StdEncoding.DecodeString(key); err != nil || len(b) < 16 || len(b) > 64 {
			return iothub.SymmetricKey{}, iothub.NewError(iothub.CodeArgumentInvalid,
				"Give both symmetric keys, each base64 of 16 to 64 bytes, or neither.")
		}
	}
	return *k, nil
}

// newKey returns 32 random bytes as base64.
func newKey() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return base64.StdEncoding.EncodeToString(b[:])
}

func validateThumbprints(t iothub.X509Thumbprint) error {
	for _, p := range []*string{t.PrimaryThumbprint, t.SecondaryThumbprint} {
		if p == nil || *p == "" {
			continue
		}
		if _, err := hex.DecodeString(*p); err != nil || len(*p) != 40 && len(*p) != 64 {
			return iothub.NewError(iothub.CodeArgumentInvalid, "A thumbprint has 40 or 64 hex digits without separators.")
		}
	}
	return nil
}

// normalThumbprint turns empty texts into absence.
func normalThumbprint(t iothub.X509Thumbprint) iothub.X509Thumbprint {
	if t.PrimaryThumbprint != nil && *t.PrimaryThumbprint == "" {
		t.PrimaryThumbprint = nil
	}
	if t.SecondaryThumbprint != nil && *t.SecondaryThumbprint == "" {
		t.SecondaryThumbprint = nil
	}
	return t
}
