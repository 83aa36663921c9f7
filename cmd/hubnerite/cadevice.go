package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/trust"
	"github.com/hubnerite/hubnerite/iothub"
)

type caDeviceCmd struct {
	ID      string `arg:"" help:"Device ID."`
	Module  string `placeholder:"ID" help:"Issue it to this module of the device."`
	ECC     bool   `name:"ecc" help:"An ECC key (P-256) instead of RSA (2048 bits)."`
	Days    int    `default:"365" placeholder:"NUMBER" help:"How many days it is valid (${default})."`
	Expired bool   `help:"One that ended yesterday, to see it refused."`
	Out     string `default:"." placeholder:"DIR" help:"Where to write the files (the current directory)."`
	Create  bool   `help:"Also create the device, or the module, with the authentication type certificateAuthority."`
}

// Run makes a key, has it certified by the emulator's authority for tests and
// writes both; the key leaves this machine in no request.
func (c *caDeviceCmd) Run(a *app) error {
	if c.Days < 1 {
		return usagef("--days: %d is less than one day; for a certificate that has ended use --expired", c.Days)
	}
	key, err := c.newKey()
	if err != nil {
		return err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return err
	}
	var issued emulator.DeviceCertificate
	if err := a.certificates(http.MethodPost, "/device-certificates", emulator.DeviceCertificateRequest{
		DeviceID: c.ID, ModuleID: c.Module, Days: c.Days, Expired: c.Expired,
		CertificateRequest: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})),
	}, &issued); err != nil {
		return err
	}
	if c.Create {
		if err := c.create(a); err != nil {
			return err
		}
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Out, 0o755); err != nil { //nolint:gosec // certificates are no secret, and the key has its own mode
		return err
	}
	name := fileName(c.ID)
	if c.Module != "" {
		name += "-" + fileName(c.Module)
	}
	for _, file := range []struct {
		suffix string
		text   []byte
		mode   os.FileMode
	}{
		// The key first: a certificate without its key is never seen.
		{"-key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600},
		{"-cert.pem", []byte(issued.Chain), 0o644},
	} {
		path, err := filepath.Abs(filepath.Join(c.Out, name+file.suffix))
		if err != nil {
			return err
		}
		if err := trust.WriteFile(path, file.text, file.mode); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(a.stdout, path); err != nil {
			return err
		}
	}
	return nil
}

func (c *caDeviceCmd) newKey() (crypto.Signer, error) {
	if c.ECC {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return rsa.GenerateKey(rand.Reader, 2048)
}

func (c *caDeviceCmd) create(a *app) error {
	s, err := a.service()
	if err != nil {
		return err
	}
	path := devicePath(c.ID)
	body := iothub.IdentityRequest{
		DeviceID: c.ID, Status: iothub.StatusEnabled,
		Authentication: &iothub.AuthenticationRequest{Type: iothub.AuthCertificateAuthority},
	}
	if c.Module != "" {
		path += "/modules/" + url.PathEscape(c.Module)
		body.ModuleID, body.Status = c.Module, ""
	}
	if err := s.call(http.MethodPut, path, nil, nil, body, nil); err != nil {
		return fmt.Errorf("%s: %w", strings.TrimSuffix(c.ID+"/"+c.Module, "/"), err)
	}
	return nil
}

// fileName replaces what file systems do not take.
func fileName(id string) string {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`<>:"/\|?*%`, r) {
			return '_'
		}
		return r
	}, id)
	if strings.Trim(name, ".") == "" {
		return "_" + name
	}
	return name
}
