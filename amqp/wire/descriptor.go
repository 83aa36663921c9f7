package wire

import (
	"encoding/binary"
	"math"
)

// nameOfCode gives the type name that the specification defines with a
// descriptor; its symbolic descriptor is "amqp:" name ":list" and the like.
func nameOfCode(c Code) string {
	switch c {
	case CodeOpen:
		return "open"
	case CodeBegin:
		return "begin"
	case CodeAttach:
		return "attach"
	case CodeFlow:
		return "flow"
	case CodeTransfer:
		return "transfer"
	case CodeDisposition:
		return "disposition"
	case CodeDetach:
		return "detach"
	case CodeEnd:
		return "end"
	case CodeClose:
		return "close"
	case CodeError:
		return "error"
	case CodeReceived:
		return "received"
	case CodeAccepted:
		return "accepted"
	case CodeRejected:
		return "rejected"
	case CodeReleased:
		return "released"
	case CodeModified:
		return "modified"
	case CodeSource:
		return "source"
	case CodeTarget:
		return "target"
	case CodeCoordinator:
		return "coordinator"
	case CodeSASLMechanisms:
		return "sasl-mechanisms"
	case CodeSASLInit:
		return "sasl-init"
	case CodeSASLChallenge:
		return "sasl-challenge"
	case CodeSASLResponse:
		return "sasl-response"
	case CodeSASLOutcome:
		return "sasl-outcome"
	case CodeHeader:
		return "header"
	case CodeDeliveryAnnotations:
		return "delivery-annotations"
	case CodeMessageAnnotations:
		return "message-annotations"
	case CodeProperties:
		return "properties"
	case CodeApplicationProperties:
		return "application-properties"
	case CodeData:
		return "data"
	case CodeSequence:
		return "amqp-sequence"
	case CodeValue:
		return "amqp-value"
	case CodeFooter:
		return "footer"
	}
	return "unknown"
}

// String gives the type's name, as the specification spells it.
func (c Code) String() string { return nameOfCode(c) }

// codeOfName maps a symbolic descriptor to its number.
func codeOfName(name []byte) (c Code, ok bool) {
	switch string(name) {
	case "amqp:open:list":
		return CodeOpen, true
	case "amqp:begin:list":
		return CodeBegin, true
	case "amqp:attach:list":
		return CodeAttach, true
	case "amqp:flow:list":
		return CodeFlow, true
	case "amqp:transfer:list":
		return CodeTransfer, true
	case "amqp:disposition:list":
		return CodeDisposition, true
	case "amqp:detach:list":
		return CodeDetach, true
	case "amqp:end:list":
		return CodeEnd, true
	case "amqp:close:list":
		return CodeClose, true
	case "amqp:error:list":
		return CodeError, true
	case "amqp:received:list":
		return CodeReceived, true
	case "amqp:accepted:list":
		return CodeAccepted, true
	case "amqp:rejected:list":
		return CodeRejected, true
	case "amqp:released:list":
		return CodeReleased, true
	case "amqp:modified:list":
		return CodeModified, true
	case "amqp:source:list":
		return CodeSource, true
	case "amqp:target:list":
		return CodeTarget, true
	case "amqp:coordinator:list":
		return CodeCoordinator, true
	case "amqp:sasl-mechanisms:list":
		return CodeSASLMechanisms, true
	case "amqp:sasl-init:list":
		return CodeSASLInit, true
	case "amqp:sasl-challenge:list":
		return CodeSASLChallenge, true
	case "amqp:sasl-response:list":
		return CodeSASLResponse, true
	case "amqp:sasl-outcome:list":
		return CodeSASLOutcome, true
	case "amqp:header:list":
		return CodeHeader, true
	case "amqp:delivery-annotations:map":
		return CodeDeliveryAnnotations, true
	case "amqp:message-annotations:map":
		return CodeMessageAnnotations, true
	case "amqp:properties:list":
		return CodeProperties, true
	case "amqp:application-properties:map":
		return CodeApplicationProperties, true
	case "amqp:data:binary":
		return CodeData, true
	case "amqp:amqp-sequence:list":
		return CodeSequence, true
	case "amqp:amqp-value:*":
		return CodeValue, true
	case "amqp:footer:map":
		return CodeFooter, true
	}
	return 0, false
}

// splitDescriptor takes the descriptor off a described value. For a symbol that
// the specification does not define, symbol is its text and c a number that it
// does not define either; otherwise symbol is nil.
func splitDescriptor(b []byte) (c Code, symbol, rest []byte, err error) {
	d := decoder{b: b}
	code, err := d.byte()
	if err != nil {
		return 0, nil, nil, err
	}
	if code != codeDescribed {
		return 0, nil, nil, malformed("value has no descriptor")
	}
	if code, err = d.byte(); err != nil {
		return 0, nil, nil, err
	}
	switch code {
	case codeUlong0:
		return 0, nil, d.b, nil
	case codeUlong8:
		n, err := d.byte()
		return Code(n), nil, d.b, err
	case codeUlong:
		b, err := d.take(8)
		if err != nil {
			return 0, nil, nil, err
		}
		return Code(binary.BigEndian.Uint64(b)), nil, d.b, nil
	case codeSymbol8, codeSymbol32:
		b, err := d.variable(code)
		if err != nil {
			return 0, nil, nil, err
		}
		if c, ok := codeOfName(b); ok {
			return c, nil, d.b, nil
		}
		return math.MaxUint64, b, d.b, nil
	}
	return 0, nil, nil, malformed("descriptor is neither a ulong nor a symbol")
}

func anyDescriptor(c Code, symbol []byte) any {
	if symbol != nil {
		return Symbol(symbol)
	}
	return uint64(c)
}
