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

// appendOptError writes nil as null.
func appendOptError(dst []byte, e *Error) ([]byte, error) {
	if e == nil {
		return AppendNull(dst), nil
	}
	dst, c := beginComposite(dst, CodeError)
	dst = AppendSymbol(dst, e.Condition)
	dst = appendOptString(dst, e.Description)
	dst, err := appendOptMap(dst, e.Info)
	return c.End(dst, 3), err
}

// error reads an error field; nil if it is absent.
func (f *fields) error() *Error {
	b := f.described()
	if b == nil {
		return nil
	}
	in, _, err := openComposite(b, CodeError)
	if err != nil {
		f.fail(err)
		return nil
	}
	e := &Error{
		Condition:   Symbol(in.mustString("error.condition")),
		Description: in.string(),
		Info:        in.mapping(),
	}
	f.fail(in.close())
	return e
}
