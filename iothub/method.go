package iothub

import (
	"encoding/json"
	"strings"
	"time"
)

// MethodRequest is a call of a direct method.
// Source: IoT Hub devguide, understand and invoke direct methods.
type MethodRequest struct {
	MethodName string
	// Payload is one JSON token, passed on byte for byte; nil when absent.
	Payload json.RawMessage
	// ResponseTimeout is how long to wait for the answer; 0 means the default.
	ResponseTimeout time.Duration
	// ConnectTimeout is how long to wait for an offline device; 0 means not at all.
	ConnectTimeout time.Duration
	// RequestID pairs the answer with the call. The hub makes it: a lower-case
	// UUID, because some AMQP clients require that type.
	RequestID string
}

// MethodResponse is the device's answer.
type MethodResponse struct {
	// Status is the device's own status code.
	Status int `json:"status"`
	// Payload is one JSON token; nil becomes null.
	Payload json.RawMessage `json:"payload"`
}

// Validate checks the name, the times and the payload size and fills in the
// default response time-out. It returns ArgumentInvalid or MessageTooLarge.
func (m *MethodRequest) Validate() error {
	if err := ValidateMethodName(m.MethodName); err != nil {
		return err
	}
	if m.ResponseTimeout == 0 {
		m.ResponseTimeout = DefaultResponseTimeout
	}
	switch {
	case m.ResponseTimeout < MinResponseTimeout || m.ResponseTimeout > MaxMethodTimeout:
		return NewError(CodeArgumentInvalid, "responseTimeoutInSeconds must be between 5 and 300.")
	case m.ConnectTimeout < 0 || m.ConnectTimeout > MaxMethodTimeout:
		return NewError(CodeArgumentInvalid, "connectTimeoutInSeconds must be between 0 and 300.")
	case m.ConnectTimeout > m.ResponseTimeout:
		return NewError(CodeArgumentInvalid, "connectTimeoutInSeconds must not be greater than responseTimeoutInSeconds.")
	case len(m.Payload) > MaxMethodPayload:
		return NewError(CodeMessageTooLarge, "The method payload exceeds %d bytes.", MaxMethodPayload)
	}
	return nil
}

// ValidateMethodName checks a method name: printable US-ASCII without spaces and
// without $ ( ) < > @ , ; : \ " / [ ] ? = { }, 1 to 100 characters.
func ValidateMethodName(s string) error {
	if s == "" || len(s) > 100 {
		return NewError(CodeArgumentInvalid, "methodName must have 1 to 100 characters.")
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || strings.IndexByte("$()<>@,;:\\\"/[]?={}", c) >= 0 {
			return NewError(CodeArgumentInvalid, "methodName contains a character that is not allowed, at position %d.", i)
		}
	}
	return nil
}
