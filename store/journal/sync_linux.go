package journal

import (
	"os"
	"syscall"
)

// syncData makes the content of a file durable, without its times.
func syncData(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR { //nolint:errorlint // a plain errno
			return err
		}
	}
}
