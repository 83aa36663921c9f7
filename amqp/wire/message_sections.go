package wire

import "time"

// AppendHeader adds a header section. Trailing nulls are left out.
func AppendHeader(dst []byte, h *Header) []byte {
	dst, s := beginSection(dst, CodeHeader)
	dst = s.field(AppendBool(dst, h.Durable), h.Durable)
	if h.Priority.Set {
		dst = s.field(AppendUbyte(dst, h.Priority.Value), true)
	} else {
		dst = s.field(AppendNull(dst), false)
	}
	dst = s.field(appendOptUint(dst, h.TTL), h.TTL.Set)
	dst = s.field(AppendBool(dst, h.FirstAcquirer), h.FirstAcquirer)
	dst = s.field(AppendUint(dst, h.DeliveryCount), h.DeliveryCount != 0)
	return s.end(dst)
}

// AppendProperties adds a properties section. Trailing nulls are left out. It
// fails with a *ValueError if MessageID or CorrelationID has no AMQP type.
func AppendProperties(dst []byte, p *Properties) ([]byte, error) {
	dst, s := beginSection(dst, CodeProperties)
	var err error
	if dst, err = AppendValue(dst, p.MessageID); err != nil {
		return dst, err
	}
	dst = s.field(dst, p.MessageID != nil)
	dst = s.field(appendOptBinary(dst, p.UserID), p.UserID != nil)
	dst = s.text(dst, p.To)
	dst = s.text(dst, p.Subject)
	dst = s.text(dst, p.ReplyTo)
	if dst, err = AppendValue(dst, p.CorrelationID); err != nil {
		return dst, err
	}
	dst = s.field(dst, p.CorrelationID != nil)
	dst = s.field(appendOptSymbol(dst, p.ContentType), p.ContentType != "")
	dst = s.field(appendOptSymbol(dst, p.ContentEncoding), p.ContentEncoding != "")
	dst = s.time(dst, p.AbsoluteExpiryTime)
	dst = s.time(dst, p.CreationTime)
	dst = s.text(dst, p.GroupID)
	dst = s.field(appendOptUint(dst, p.GroupSequence), p.GroupSequence.Set)
	dst = s.text(dst, p.ReplyToGroupID)
	return s.end(dst), nil
}

// AppendDeliveryAnnotations adds a delivery-annotations section. Like the other
// map sections it fails as AppendValue does. Keys should be symbols.
func AppendDeliveryAnnotations(dst []byte, m Map) ([]byte, error) {
	return AppendValue(appendDescriptor(dst, CodeDeliveryAnnotations), m)
}

// AppendMessageAnnotations adds a message-annotations section. Keys should be
// symbols.
func AppendMessageAnnotations(dst []byte, m Map) ([]byte, error) {
	return AppendValue(appendDescriptor(dst, CodeMessageAnnotations), m)
}

// AppendApplicationProperties adds an application-properties section. Keys
// should be strings.
func AppendApplicationProperties(dst []byte, m Map) ([]byte, error) {
	return AppendValue(appendDescriptor(dst, CodeApplicationProperties), m)
}

// BeginMapSection starts one of the four map sections, to be written in place as
// BeginMap describes.
func BeginMapSection(dst []byte, c Code) ([]byte, Compound) {
	return BeginMap(appendDescriptor(dst, c))
}

// AppendDataSection adds a data section.
func AppendDataSection(dst, data []byte) []byte {
	return AppendBinary(appendDescriptor(dst, CodeData), data)
}

// AppendSequenceSection adds an amqp-sequence section.
func AppendSequenceSection(dst []byte, l List) ([]byte, error) {
	return AppendValue(appendDescriptor(dst, CodeSequence), l)
}

// AppendValueSection adds an amqp-value section.
func AppendValueSection(dst []byte, v any) ([]byte, error) {
	return AppendValue(appendDescriptor(dst, CodeValue), v)
}

// AppendFooter adds a footer section. Keys should be symbols.
func AppendFooter(dst []byte, m Map) ([]byte, error) {
	return AppendValue(appendDescriptor(dst, CodeFooter), m)
}

// section is a list section being written, whose trailing nulls and defaults are
// cut off at its end.
type section struct {
	list  Compound
	count int // fields so far
	keep  int // fields up to the last one that matters
	last  int // where that one ends
}

func beginSection(dst []byte, c Code) ([]byte, section) {
	dst, list := beginComposite(dst, c)
	return dst, section{list: list, last: len(dst)}
}

// field notes a field that has just been appended.
func (s *section) field(dst []byte, matters bool) []byte {
	s.count++
	if matters {
		s.keep, s.last = s.count, len(dst)
	}
	return dst
}

func (s *section) text(dst []byte, v string) []byte {
	return s.field(appendOptString(dst, v), v != "")
}

func (s *section) time(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return s.field(AppendNull(dst), false)
	}
	return s.field(AppendTimestamp(dst, t), true)
}

func (s *section) end(dst []byte) []byte { return s.list.End(dst[:s.last], s.keep) }

// sectionFields opens a list section, which may be null or not there at all.
func sectionFields(b []byte, c Code) (fields, error) {
	if len(b) == 0 {
		return fields{}, nil
	}
	got, symbol, value, err := splitDescriptor(b)
	if err != nil {
		return fields{}, err
	}
	if got != c {
		return fields{}, &UnknownDescriptorError{In: c.String(), Descriptor: anyDescriptor(got, symbol)}
	}
	if len(value) > 0 && value[0] == codeNull {
		return fields{}, nil
	}
	f, _, err := openList(value)
	return f, err
}

func decodeHeader(b []byte) (Header, error) {
	f, err := sectionFields(b, CodeHeader)
	if err != nil {
		return Header{}, err
	}
	h := Header{
		Durable:       f.bool(),
		Priority:      f.optUbyte(),
		TTL:           f.optUint(),
		FirstAcquirer: f.bool(),
		DeliveryCount: f.uint(0),
	}
	if err := f.close(); err != nil {
		return Header{}, err
	}
	return h, nil
}

func decodeProperties(b []byte) (Properties, error) {
	f, err := sectionFields(b, CodeProperties)
	if err != nil {
		return Properties{}, err
	}
	p := Properties{
		MessageID:          f.scalar(),
		UserID:             f.binary(),
		To:                 f.string(),
		Subject:            f.string(),
		ReplyTo:            f.string(),
		CorrelationID:      f.scalar(),
		ContentType:        f.symbol(),
		ContentEncoding:    f.symbol(),
		AbsoluteExpiryTime: f.timestamp(),
		CreationTime:       f.timestamp(),
		GroupID:            f.string(),
		GroupSequence:      f.optUint(),
		ReplyToGroupID:     f.string(),
	}
	if err := f.close(); err != nil {
		return Properties{}, err
	}
	return p, nil
}

// scalar reads a field of any type that is not compound.
func (f *fields) scalar() any {
	v := f.any()
	switch v.(type) {
	case List, Map, Array, Described:
		f.wrongType("a scalar")
		return nil
	}
	return v
}
