package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/hubnerite/hubnerite/emulator/trust"
)

// caCmd groups the commands of certificate authorities: the emulator's own, which
// clients trust, and those of devices, which the emulator trusts.
type caCmd struct {
	Show   caShowCmd   `cmd:"" default:"withargs" help:"Print the certificate authority that clients must trust. This is what happens without a further word."`
	List   caListCmd   `cmd:"" help:"List the authorities that are registered for devices of the type certificateAuthority."`
	Add    caAddCmd    `cmd:"" help:"Register one, or replace its certificate."`
	Verify caVerifyCmd `cmd:"" help:"Prove to have its key, as Azure has it: without --proof prints a verification code."`
	Remove caRemoveCmd `cmd:"" help:"Remove one and disconnect the devices that it let in."`
	Device caDeviceCmd `cmd:"" help:"Issue a certificate to a device or module, for tests."`
}

type caShowCmd struct {
	Bundle bool   `help:"Add the system's roots, as SSL_CERT_FILE needs them."`
	Out    string `placeholder:"FILE" help:"Write to this file instead."`
}

// Run prints or exports what clients must trust.
func (c *caShowCmd) Run(a *app) error {
	info, err := a.info()
	if err != nil {
		return err
	}
	text, err := a.ask("/ca.pem")
	if errors.Is(err, errNotFound) {
		if text, err = os.ReadFile(info.CAFile); err != nil {
			err = fmt.Errorf("the emulator serves a certificate of its operator's: %w", err)
		}
	}
	if err != nil {
		return err
	}
	if c.Bundle {
		text = trust.Bundle(text, trust.SystemRoots())
	}
	if c.Out != "" {
		return trust.WriteFile(c.Out, text, 0o644)
	}
	_, err = a.stdout.Write(text)
	return err
}
