// Package query evaluates IoT Hub's query expressions: a grammar, an evaluator
// over JSON values, and the names that each language gives meaning to. It is
// pure: no clock, no I/O, no lock.
//
// The routing query language is [Parser.Condition] evaluated over a [Message].
// Expressions, functions and the evaluator know nothing of messages: another
// language brings its own [Environment] and [Functions].
//
// # Three values
//
// What a name does not lead to is [Undefined], and so is every operation on
// operands of the wrong or of different types: nothing is coerced. AND and OR
// decide when one side alone decides, else undefined stays undefined. Only true passes.
//
// Source: IoT Hub devguide, query language; IoT Hub message routing query syntax.
package query
