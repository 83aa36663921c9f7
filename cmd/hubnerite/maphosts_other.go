//go:build !linux

package main

import (
	"errors"
	"fmt"
)

var errMapHosts = errors.New("--map-hosts works on Linux only")

func runWithHosts(_ string, _, _ []string, address string, names []string) error {
	return fmt.Errorf("%w: add these lines to the hosts file instead\n%s", errMapHosts, hostsLines(address, names))
}

func becomeWithHosts(string, string, []string) error { return errMapHosts }
