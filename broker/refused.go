package broker

import (
	"errors"
	"io"
	"os"

	"github.com/hubnerite/hubnerite/iothub"
)

// refused has the hub remember that it refused something to the client.
func (s *session) refused(operation string, err error) {
	s.key.hub.Refused(operation, s.conn.protocol, s.conn.RemoteAddr().String(), s.key.id, err)
}

// closeReason says why the connection ends, nil when the client left. It is called on the reader's goroutine.
func (c *conn) closeReason() error {
	cause := c.endCause()
	if cause == nil {
		cause = c.lane.err
	}
	switch {
	case errors.Is(cause, errDisconnected), errors.Is(cause, io.EOF):
		return nil
	case errors.Is(cause, os.ErrDeadlineExceeded):
		return iothub.NewError(iothub.CodeDeviceConnectionClosedRemotely, "The keep-alive time passed without a packet.")
	}
	return cause
}
