package trust

import (
	"os"
	"path/filepath"
)

// SystemRoots returns the roots that this machine trusts, in PEM form: the file
// of SSL_CERT_FILE if it is set and not a bundle of ours, else the system's. An
// unknown system, or one without roots such as an empty container, yields none.
func SystemRoots() []byte { return systemRoots(os.Getenv("SSL_CERT_FILE"), platformRoots) }

func systemRoots(sslCertFile string, platform func() []byte) []byte {
	if sslCertFile != "" {
		if text, err := os.ReadFile(sslCertFile); err == nil && !isBundle(text) {
			return text
		}
	}
	return platform()
}

// rootsFromFiles returns the first of the files that can be read, else all
// certificates of the first directory that has some.
func rootsFromFiles(files, dirs []string) []byte {
	for _, name := range files {
		if text, err := os.ReadFile(name); err == nil && len(text) > 0 {
			return text
		}
	}
	for _, dir := range dirs {
		var all []byte
		names, _ := filepath.Glob(filepath.Join(dir, "*"))
		for _, name := range names {
			if text, err := os.ReadFile(name); err == nil {
				all = append(append(all, text...), '\n')
			}
		}
		if len(all) > 0 {
			return all
		}
	}
	return nil
}
