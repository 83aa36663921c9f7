package wire

// Error is the AMQP error type carried by detach, end, close and rejected
// (OASIS AMQP 1.0 2.8.14). It is also a Go error.
type Error struct {
	// Condition is mandatory on the wire.
	Condition Symbol
	// Description is null on the wire when empty.
	Description string
	// Info is null on the wire when nil. Keys should be symbols.
	Info Map
}

// Error gives condition and description.
func (e *Error) Error() string {
	if e.Description == "" {
		return string(e.Condition)
	}
	return string(e.Condition) + ": " + e.Description
}

// Error conditions of OASIS AMQP 1.0 2.8.15 to 2.8.18.
const (
	ErrInternal              Symbol = "amqp:internal-error"
	ErrNotFound              Symbol = "amqp:not-found"
	ErrUnauthorizedAccess    Symbol = "amqp:unauthorized-access"
	ErrDecode                Symbol = "amqp:decode-error"
	ErrResourceLimitExceeded Symbol = "amqp:resource-limit-exceeded"
	ErrNotAllowed            Symbol = "amqp:not-allowed"
	ErrInvalidField          Symbol = "amqp:invalid-field"
	ErrNotImplemented        Symbol = "amqp:not-implemented"
	ErrResourceLocked        Symbol = "amqp:resource-locked"
	ErrPreconditionFailed    Symbol = "amqp:precondition-failed"
	ErrResourceDeleted       Symbol = "amqp:resource-deleted"
	ErrIllegalState          Symbol = "amqp:illegal-state"
	ErrFrameSizeTooSmall     Symbol = "amqp:frame-size-too-small"

	ErrConnectionForced   Symbol = "amqp:connection:forced"
	ErrConnectionFraming  Symbol = "amqp:connection:framing-error"
	ErrConnectionRedirect Symbol = "amqp:connection:redirect"

	ErrSessionWindowViolation  Symbol = "amqp:session:window-violation"
	ErrSessionErrantLink       Symbol = "amqp:session:errant-link"
	ErrSessionHandleInUse      Symbol = "amqp:session:handle-in-use"
	ErrSessionUnattachedHandle Symbol = "amqp:session:unattached-handle"

	ErrLinkDetachForced          Symbol = "amqp:link:detach-forced"
	ErrLinkTransferLimitExceeded Symbol = "amqp:link:transfer-limit-exceeded"
	ErrLinkMessageSizeExceeded   Symbol = "amqp:link:message-size-exceeded"
	ErrLinkRedirect              Symbol = "amqp:link:redirect"
	ErrLinkStolen                Symbol = "amqp:link:stolen"
)
