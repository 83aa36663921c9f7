package trust

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// platformRoots reads the current user's view of the ROOT store, which
// contains the machine's.
func platformRoots() []byte {
	name, err := windows.UTF16PtrFromString("ROOT")
	if err != nil {
		return nil
	}
	store, err := windows.CertOpenSystemStore(0, name)
	if err != nil {
		return nil
	}
	defer func() { _ = windows.CertCloseStore(store, 0) }()
	var all []byte
	var c *windows.CertContext
	for {
		// Each call frees the context of the call before.
		if c, err = windows.CertEnumCertificatesInStore(store, c); err != nil || c == nil {
			return all
		}
		all = append(all, certificatePEM(unsafe.Slice(c.EncodedCert, c.Length))...)
	}
}
