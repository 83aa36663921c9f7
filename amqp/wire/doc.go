// Package wire is the byte layer of AMQP 1.0: the type system, frames,
// performatives, SASL bodies, delivery states, and message sections, as the
// OASIS AMQP 1.0 specification defines them (parts 1 to 3 and 5.3).
//
// It knows no connection, no session and no credit: bytes go in, Go values come
// out, and the other way round. Everything is strict about bounds: no input
// makes it panic, recurse without limit, or allocate more than a small multiple
// of the bytes that really arrived.
//
// # Encoding
//
// Every encoder has the append form: it takes a slice, adds the encoding, and
// returns the longer slice. Scalars take their smallest form. Performatives,
// errors and termini are the exception: they always carry the one-byte ulong
// descriptor (0x00 0x53 code) and a list8 or list32 with every field the
// specification defines, trailing nulls included, because several peers index
// into the field list, or skip a fixed number of bytes, without checking.
//
// # Decoding
//
// Decoders accept what the specification allows and a little more where known
// peers differ: field lists may be short, descriptors may be ulong or symbol,
// a symbol is taken where a string is specified and the reverse, and a
// "multiple" field may be one bare value or an array.
//
// # Go types
//
// AMQP types map to Go types one to one, so that a value that is decoded and
// encoded again keeps its AMQP type:
//
//	null        nil           timestamp   time.Time (ms, UTC)
//	boolean     bool          uuid        UUID
//	ubyte       uint8         binary      []byte
//	ushort      uint16        string      string
//	uint        uint32        symbol      Symbol
//	ulong       uint64        list        List
//	byte        int8          map         Map (in wire order)
//	short       int16         array       Array
//	int         int32         described   Described
//	long        int64         char        Char
//	float       float32       decimal32   Decimal32
//	double      float64       decimal64   Decimal64
//	                          decimal128  Decimal128
package wire
