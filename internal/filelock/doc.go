// Package filelock takes files for one process.
package filelock

import "errors"

// ErrLocked says that another process has the file.
var ErrLocked = errors.New("filelock: another process has the file")
