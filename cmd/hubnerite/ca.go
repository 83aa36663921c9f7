package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/hubnerite/hubnerite/emulator/trust"
)

type caCmd struct {
	Bundle bool   `help:"Add the system's roots, as SSL_CERT_FILE needs them."`
	Out    string `placeholder:"FILE" help:"Write to this file instead."`
}

// Run prints or exports what clients must trust.
func (c *caCmd) Run(a *app) error {
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
