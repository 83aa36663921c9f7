package wire

import (
	"io"
	"iter"
	"time"
)

const pending = "wire: body not written yet"

func (p *Open) Append(dst []byte) ([]byte, error)           { panic(pending) }
func (p *Open) Decode(body []byte) ([]byte, error)          { panic(pending) }
func (p *Begin) Append(dst []byte) ([]byte, error)          { panic(pending) }
func (p *Begin) Decode(body []byte) ([]byte, error)         { panic(pending) }
func (p *Attach) Append(dst []byte) ([]byte, error)         { panic(pending) }
func (p *Attach) Decode(body []byte) ([]byte, error)        { panic(pending) }
func (p *Flow) Append(dst []byte) ([]byte, error)           { panic(pending) }
func (p *Flow) Decode(body []byte) ([]byte, error)          { panic(pending) }
func (p *Transfer) Append(dst []byte) ([]byte, error)       { panic(pending) }
func (p *Transfer) Decode(body []byte) ([]byte, error)      { panic(pending) }
func (p *Disposition) Append(dst []byte) ([]byte, error)    { panic(pending) }
func (p *Disposition) Decode(body []byte) ([]byte, error)   { panic(pending) }
func (p *Detach) Append(dst []byte) ([]byte, error)         { panic(pending) }
func (p *Detach) Decode(body []byte) ([]byte, error)        { panic(pending) }
func (p *End) Append(dst []byte) ([]byte, error)            { panic(pending) }
func (p *End) Decode(body []byte) ([]byte, error)           { panic(pending) }
func (p *Close) Append(dst []byte) ([]byte, error)          { panic(pending) }
func (p *Close) Decode(body []byte) ([]byte, error)         { panic(pending) }
func (p *SASLMechanisms) Append(dst []byte) ([]byte, error) { panic(pending) }
func (p *SASLMechanisms) Decode(b []byte) ([]byte, error)   { panic(pending) }
func (p *SASLInit) Append(dst []byte) ([]byte, error)       { panic(pending) }
func (p *SASLInit) Decode(body []byte) ([]byte, error)      { panic(pending) }
func (p *SASLChallenge) Append(dst []byte) ([]byte, error)  { panic(pending) }
func (p *SASLChallenge) Decode(body []byte) ([]byte, error) { panic(pending) }
func (p *SASLResponse) Append(dst []byte) ([]byte, error)   { panic(pending) }
func (p *SASLResponse) Decode(body []byte) ([]byte, error)  { panic(pending) }
func (p *SASLOutcome) Append(dst []byte) ([]byte, error)    { panic(pending) }
func (p *SASLOutcome) Decode(body []byte) ([]byte, error)   { panic(pending) }
func (s Received) Append(dst []byte) ([]byte, error)        { panic(pending) }
func (s Accepted) Append(dst []byte) ([]byte, error)        { panic(pending) }
func (s Rejected) Append(dst []byte) ([]byte, error)        { panic(pending) }
func (s Released) Append(dst []byte) ([]byte, error)        { panic(pending) }
func (s Modified) Append(dst []byte) ([]byte, error)        { panic(pending) }

// DecodePerformative decodes the performative at the start of a frame's body and
// returns it, as a pointer to its type, with the payload that follows.
func DecodePerformative(body []byte) (p Performative, payload []byte, err error) { panic(pending) }

// PeekCode gives the descriptor at the start of a frame's body, so that a caller
// can Decode into a struct of its own.
func PeekCode(body []byte) (Code, error) { panic(pending) }

// NewReader reads frames of at most maxFrameSize bytes, header included, from r.
func NewReader(r io.Reader, maxFrameSize uint32) *Reader { panic(pending) }

// SetMaxFrameSize changes the limit for the frames that follow.
func (r *Reader) SetMaxFrameSize(n uint32) { panic(pending) }

// ReadProtocolHeader reads the 8 bytes "AMQP", id, 1, 0, 0.
func (r *Reader) ReadProtocolHeader() (ProtocolID, error) { panic(pending) }

// ReadFrame reads the next frame.
func (r *Reader) ReadFrame() (Frame, error) { panic(pending) }

// Buffered is how many bytes have been read but not given out.
func (r *Reader) Buffered() int { panic(pending) }

// AppendProtocolHeader adds the 8 bytes "AMQP", id, 1, 0, 0.
func AppendProtocolHeader(dst []byte, id ProtocolID) []byte { panic(pending) }

// AppendEmptyFrame adds a heartbeat.
func AppendEmptyFrame(dst []byte) []byte { panic(pending) }

// AppendFrame adds a frame without payload; its type follows from p.
func AppendFrame(dst []byte, channel uint16, p Performative) ([]byte, error) { panic(pending) }

// AppendTransferFrame adds one transfer frame of at most maxFrameSize bytes with
// as much of payload as fits, and returns what did not fit. The frame's more
// flag is set when t.More is or when something did not fit.
func AppendTransferFrame(dst []byte, channel uint16, t *Transfer, payload []byte, maxFrameSize uint32) (out, rest []byte, err error) {
	panic(pending)
}

// ScanMessage finds the sections of an encoded message.
func ScanMessage(b []byte) (Message, error)                         { panic(pending) }
func (m *Message) Raw() []byte                                      { panic(pending) }
func (m *Message) Bare() []byte                                     { panic(pending) }
func (m *Message) RawHeader() []byte                                { panic(pending) }
func (m *Message) RawDeliveryAnnotations() []byte                   { panic(pending) }
func (m *Message) RawMessageAnnotations() []byte                    { panic(pending) }
func (m *Message) RawProperties() []byte                            { panic(pending) }
func (m *Message) RawApplicationProperties() []byte                 { panic(pending) }
func (m *Message) RawBody() []byte                                  { panic(pending) }
func (m *Message) RawFooter() []byte                                { panic(pending) }
func (m *Message) Header() (Header, error)                          { panic(pending) }
func (m *Message) DeliveryAnnotations() (Map, error)                { panic(pending) }
func (m *Message) MessageAnnotations() (Map, error)                 { panic(pending) }
func (m *Message) Properties() (Properties, error)                  { panic(pending) }
func (m *Message) ApplicationProperties() (Map, error)              { panic(pending) }
func (m *Message) Footer() (Map, error)                             { panic(pending) }
func (m *Message) BodyKind() BodyKind                               { panic(pending) }
func (m *Message) Data() []byte                                     { panic(pending) }
func (m *Message) DataSections() iter.Seq[[]byte]                   { panic(pending) }
func (m *Message) Value() (any, error)                              { panic(pending) }
func (m *Message) Sequences() ([]List, error)                       { panic(pending) }
func AppendHeader(dst []byte, h *Header) []byte                     { panic(pending) }
func AppendDeliveryAnnotations(dst []byte, m Map) ([]byte, error)   { panic(pending) }
func AppendMessageAnnotations(dst []byte, m Map) ([]byte, error)    { panic(pending) }
func AppendProperties(dst []byte, p *Properties) ([]byte, error)    { panic(pending) }
func AppendApplicationProperties(dst []byte, m Map) ([]byte, error) { panic(pending) }
func AppendDataSection(dst, data []byte) []byte                     { panic(pending) }
func AppendSequenceSection(dst []byte, l List) ([]byte, error)      { panic(pending) }
func AppendValueSection(dst []byte, v any) ([]byte, error)          { panic(pending) }
func AppendFooter(dst []byte, m Map) ([]byte, error)                { panic(pending) }

func AppendNull(dst []byte) []byte                         { panic(pending) }
func AppendBool(dst []byte, v bool) []byte                 { panic(pending) }
func AppendUbyte(dst []byte, v uint8) []byte               { panic(pending) }
func AppendUshort(dst []byte, v uint16) []byte             { panic(pending) }
func AppendUint(dst []byte, v uint32) []byte               { panic(pending) }
func AppendUlong(dst []byte, v uint64) []byte              { panic(pending) }
func AppendByte(dst []byte, v int8) []byte                 { panic(pending) }
func AppendShort(dst []byte, v int16) []byte               { panic(pending) }
func AppendInt(dst []byte, v int32) []byte                 { panic(pending) }
func AppendLong(dst []byte, v int64) []byte                { panic(pending) }
func AppendFloat(dst []byte, v float32) []byte             { panic(pending) }
func AppendDouble(dst []byte, v float64) []byte            { panic(pending) }
func AppendChar(dst []byte, v Char) []byte                 { panic(pending) }
func AppendTimestamp(dst []byte, v time.Time) []byte       { panic(pending) }
func AppendUUID(dst []byte, v UUID) []byte                 { panic(pending) }
func AppendBinary(dst, v []byte) []byte                    { panic(pending) }
func AppendString(dst []byte, v string) []byte             { panic(pending) }
func AppendSymbol(dst []byte, v Symbol) []byte             { panic(pending) }
func AppendValue(dst []byte, v any) ([]byte, error)        { panic(pending) }
func DecodeValue(b []byte) (v any, rest []byte, err error) { panic(pending) }
func Skip(b []byte) (rest []byte, err error)               { panic(pending) }

// Compound is a list or map being written in place; see BeginList and BeginMap.
type Compound struct{ start int }

func BeginList(dst []byte) ([]byte, Compound)       { panic(pending) }
func BeginMap(dst []byte) ([]byte, Compound)        { panic(pending) }
func (c Compound) End(dst []byte, count int) []byte { panic(pending) }
