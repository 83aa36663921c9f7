package emulator

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/admin"
	"github.com/hubnerite/hubnerite/emulator/trust"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// What the management API says of certificates, for programs that ask it.
type (
	Certificate              = admin.Certificate
	CertificateBody          = admin.CertificateBody
	VerificationBody         = admin.VerificationBody
	DeviceCertificateRequest = admin.DeviceCertificateRequest
	DeviceCertificate        = admin.DeviceCertificate
)

// testCAName is the name under which the authority of certificates for tests is
// registered.
const testCAName = "hubnerite-test-devices"

// defaultCertificateDays is how long a certificate for tests is valid.
const defaultCertificateDays = 365

// registerRootCAs registers the configured authorities as verified. One that is
// there already under another name keeps that.
func (c Config) registerRootCAs(ctx context.Context, with *hub.Hub) error {
	for _, path := range c.RootCAs {
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("root CA: %w", err)
		}
		name := caName(path)
		if block, _ := pem.Decode(text); block != nil {
			for _, ca := range with.CACertificates() {
				if string(ca.DER) == string(block.Bytes) {
					name = ca.Name
				}
			}
		}
		if _, err := with.PutCACertificate(ctx, name, text, true); err != nil {
			return fmt.Errorf("root CA %s: %w", path, err)
		}
	}
	return nil
}

// caName makes a name of a file's.
func caName(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	name = strings.Map(func(r rune) rune {
		if iothub.ValidateCAName(string(r)) != nil {
			return '-'
		}
		return r
	}, name)
	if len(name) > 64 {
		name = name[:64]
	}
	return name
}

// issueDevice signs a certificate of the test authority, which is made at its first
// use and registered with the hub.
func (e *Emulator) issueDevice(ctx context.Context, with *hub.Hub, request DeviceCertificateRequest) (DeviceCertificate, error) {
	id := iothub.ID{DeviceID: request.DeviceID, ModuleID: request.ModuleID}
	if _, err := iothub.ParseID(id.String()); err != nil {
		return DeviceCertificate{}, err
	}
	block, _ := pem.Decode([]byte(request.CertificateRequest))
	if block == nil {
		return DeviceCertificate{}, iothub.NewError(iothub.CodeArgumentInvalid, "certificateRequest is no PEM.")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err == nil {
		err = csr.CheckSignature()
	}
	if err != nil {
		return DeviceCertificate{}, iothub.NewError(iothub.CodeArgumentInvalid, "certificateRequest: %s.", err)
	}
	e.issuing.Lock()
	defer e.issuing.Unlock()
	now := e.clock.Real()
	authority, _, err := trust.LoadOrCreateDeviceAuthority(e.dir, now)
	if err != nil {
		return DeviceCertificate{}, err
	}
	if _, err := with.PutCACertificate(ctx, testCAName, authority.PEM(), true); err != nil {
		return DeviceCertificate{}, err
	}
	days := request.Days
	if days == 0 {
		days = defaultCertificateDays
	}
	// Backdated for a device whose clock runs behind.
	from, until := now.Add(-time.Hour), now.AddDate(0, 0, days)
	if request.Expired {
		from, until = now.AddDate(0, 0, -2), now.AddDate(0, 0, -1)
	}
	chain, err := authority.IssueClient(csr.PublicKey, id.String(), from, until)
	if err != nil {
		return DeviceCertificate{}, err
	}
	return DeviceCertificate{Chain: string(chain), CA: testCAName}, nil
}
