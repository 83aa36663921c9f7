package iothub

import (
	"errors"
	"fmt"
)

// Error is a refusal that a peer may see. Every front end has one writer that
// turns it into its protocol's form: HTTP status and body, AMQP condition, MQTT
// return code or topic status.
type Error struct {
	// Code says what went wrong; see the Code constants.
	Code Code
	// Message is the text for the peer. It names identities, never secrets.
	Message string
	// Info holds the extra members of the error body, such as the time-out of
	// a direct method; nil for most errors.
	Info map[string]any
	// Cause is what led to the error. It is logged and never sent.
	Cause error
}

// NewError returns an error of the given code with a formatted message.
func NewError(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithCause returns a copy of e that remembers what led to it.
func (e *Error) WithCause(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// Error implements error.
func (e *Error) Error() string {
	s := fmt.Sprintf("%d %s: %s", int(e.Code), e.Code, e.Message)
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is reports whether target is an *Error of the same code, so that
// errors.Is(err, &Error{Code: c}) works whatever the message.
func (e *Error) Is(target error) bool {
	var t *Error
	return errors.As(target, &t) && t.Code == e.Code
}

// HTTPStatus returns the HTTP status of the code: its first three digits.
func (c Code) HTTPStatus() int { return int(c) / 1000 }

// ErrorCode returns the code that err carries, or 0 when it carries none.
func ErrorCode(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// AsError returns the *Error in err's chain. An error without one becomes a
// ServerError whose text says nothing of the inside; the original is its cause.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeServerError, Message: "Internal server error.", Cause: err}
}

// AMQPCondition returns the error condition under which the hub reports the
// code on AMQP. Source: the condition tables of the Node, Java and C# SDKs.
func (c Code) AMQPCondition() string {
	switch c {
	case CodeDeviceDisabled:
		return "amqp:unauthorized-access"
	case CodeIotHubSuspended:
		return "com.microsoft:iot-hub-suspended"
	case CodeIotHubNotFound:
		return "com.microsoft:iot-hub-not-found-error"
	case CodeDeviceMaximumQueueDepthExceeded, CodeDeviceMaximumQueueSizeExceeded, CodeIotHubQuotaExceeded,
		CodeDeviceMaximumInflightMethodExceeded:
		return "amqp:resource-limit-exceeded"
	case CodeMessageTooLarge:
		return "amqp:link:message-size-exceeded"
	case CodeArgumentInvalid, CodeArgumentNull, CodeIotHubFormatError, CodeDeserializationError, CodeNullMessage:
		return "com.microsoft:argument-error"
	case CodeInvalidMessageExpiryTime:
		return "com.microsoft:argument-out-of-range"
	case CodePreconditionFailed:
		return "com.microsoft:precondition-failed"
	case CodeDeviceMessageLockLost:
		return "com.microsoft:message-lock-lost"
	case CodeDeviceAlreadyExists, CodeModuleAlreadyExistsOnDevice:
		return "com.microsoft:device-already-exists"
	case CodeLinkCreationConflict:
		return "com.microsoft:link-creation-conflict"
	case CodeConnectionForcefullyClosedOnNewConnection:
		return "amqp:link:stolen"
	case CodeConnectionForcefullyClosedOnFaultInjection, CodeConnectionRejectedOnFaultInjection:
		// The only one after which all SDKs try again, the Node SDK among them.
		return "amqp:link:detach-forced"
	case CodeGatewayTimeout, CodeGenericTimeout, CodeRequestTimedOut:
		return "com.microsoft:timeout"
	}
	switch c.HTTPStatus() {
	case 401:
		return "amqp:unauthorized-access"
	case 404:
		return "amqp:not-found"
	case 429:
		return "com.microsoft:device-container-throttled"
	case 501:
		return "amqp:not-implemented"
	case 500, 503, 504:
		return "amqp:internal-error"
	}
	return "amqp:not-allowed"
}
