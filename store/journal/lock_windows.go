package journal

import (
	"errors"
	"os"
	"syscall"

	"github.com/hubnerite/hubnerite/store"
)

const errorSharingViolation = syscall.Errno(32)

// lockFile takes the lock of a folder: a file that nobody else may open.
func lockFile(path string) (*os.File, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errorSharingViolation) {
		return nil, store.ErrLocked
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(h), path), nil
}

// syncDir does nothing: Windows keeps names durable with the file.
func syncDir(string) error { return nil }
