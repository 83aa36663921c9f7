package rest

import (
	"net/http"

	"github.com/hubnerite/hubnerite/iothub"
)

// unsupported is an operation of Azure that the emulator refuses.
type unsupported struct {
	method, pattern string
	// name is the operation in Azure's words, for the answer and the counters.
	name string
}

// unsupportedOperations lists what the service has on its HTTPS endpoint beyond
// the other files of this package.
// Source: IoT Hub service API 2021-04-12, IoT Hub devguide (device streams).
func unsupportedOperations() []unsupported {
	return []unsupported{
		{http.MethodPost, "/twins/{deviceID}/streams/{stream}", "device streams"},
	}
}

// refuse answers 501 with the operation's name and counts the call.
func (s *Server) refuse(op unsupported) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h, err := s.o.Hubs(r.Host)
		if err == nil {
			h.CountUnsupported(op.method + " " + op.pattern + " (" + op.name + ")")
			err = iothub.NewError(iothub.CodeGenericNotImplemented,
				"The operation %q (%s %s) is not implemented by Hubnerite.", op.name, op.method, op.pattern)
		}
		s.writeError(w, r, legacy, err)
	}
}
