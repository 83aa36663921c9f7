package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/hubnerite/hubnerite/emulator"
)

// certificates calls the management API's operations of registered authorities.
// A body and an answer may be nil.
func (a *app) certificates(method, path string, body, answer any) error {
	var text bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			return err
		}
	}
	got, err := a.request(method, path, &text, askTimeout)
	if err != nil || answer == nil {
		return err
	}
	return json.Unmarshal(got, answer)
}

func caPath(name string) string { return "/certificates/" + url.PathEscape(name) }

func noCA(name string, err error) error {
	if errors.Is(err, errNotFound) {
		return fmt.Errorf("no CA %q is registered; see \"%s ca list\"", name, programName())
	}
	return err
}

type caListCmd struct {
	JSON bool `name:"json" help:"Print what the management API answers."`
}

// Run lists the registered authorities.
func (c *caListCmd) Run(a *app) error {
	text, err := a.ask("/certificates")
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a, text)
	}
	var list struct{ Certificates []emulator.Certificate }
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "NAME\tSTATUS\tEXPIRES\tTHUMBPRINT\tSUBJECT")
	for _, ca := range list.Certificates {
		day, _, _ := strings.Cut(ca.Expiry, "T")
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", ca.Name, verification(ca), day, ca.Thumbprint, ca.Subject)
	}
	return w.Flush()
}

func verification(ca emulator.Certificate) string {
	if ca.IsVerified {
		return "verified"
	}
	return "unverified"
}

type caAddCmd struct {
	File       string `arg:"" help:"PEM file with its certificate."`
	Name       string `placeholder:"NAME" help:"Name to register it under (the file's name)."`
	Unverified bool   `help:"Without it the authority counts as verified at once; with it \"ca verify\" has to follow."`
}

// Run registers an authority.
func (c *caAddCmd) Run(a *app) error {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return usageError{err}
	}
	if c.Name == "" {
		c.Name = strings.TrimSuffix(filepath.Base(c.File), filepath.Ext(c.File))
	}
	var made emulator.Certificate
	body := emulator.CertificateBody{Certificate: string(text), IsVerified: !c.Unverified}
	if err := a.certificates(http.MethodPut, caPath(c.Name), body, &made); err != nil {
		return noCA(c.Name, err)
	}
	_, err = fmt.Fprintf(a.stdout, "%s %s %s\n", made.Name, verification(made), made.Thumbprint)
	return err
}

type caVerifyCmd struct {
	Name  string `arg:"" help:"Name of the authority."`
	Proof string `placeholder:"FILE" help:"PEM file with a certificate whose common name is the verification code and that the authority signed."`
}

// Run prints a verification code, or hands in what was made of it.
func (c *caVerifyCmd) Run(a *app) error {
	var ca emulator.Certificate
	if c.Proof == "" {
		if err := a.certificates(http.MethodPost, caPath(c.Name)+"/generateVerificationCode", nil, &ca); err != nil {
			return noCA(c.Name, err)
		}
		_, err := fmt.Fprintln(a.stdout, ca.VerificationCode)
		return err
	}
	text, err := os.ReadFile(c.Proof)
	if err != nil {
		return usageError{err}
	}
	if err := a.certificates(http.MethodPost, caPath(c.Name)+"/verify", emulator.VerificationBody{Certificate: string(text)}, &ca); err != nil {
		return noCA(c.Name, err)
	}
	_, err = fmt.Fprintf(a.stdout, "%s %s %s\n", ca.Name, verification(ca), ca.Thumbprint)
	return err
}

type caRemoveCmd struct {
	Name []string `arg:"" help:"Names of authorities."`
}

// Run removes authorities.
func (c *caRemoveCmd) Run(a *app) error {
	for _, name := range c.Name {
		if err := a.certificates(http.MethodDelete, caPath(name), nil, nil); err != nil {
			return noCA(name, err)
		}
	}
	return nil
}
