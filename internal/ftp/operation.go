package ftp

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/rs/zerolog"
)

// operation is a command that uses the store.
type operation struct {
	*session
	verb    string
	at      place
	start   time.Time
	in, out int64
	hidden  int   // keys that a listing did not show
	to      place // the other end of a rename
	quiet   bool  // a question that clients ask all the time: not logged, not observed unless it is our fault
}

// begin starts an operation on what a path names. The session's connection may be gone: then there is none.
func (d *driver) begin(verb, name string) (*operation, error) {
	o := &operation{session: d.session, verb: verb, start: time.Now()}
	d.repay() // ftpserverlib begins with nothing before a listing has ended
	if !d.s.occupy(d.session) {
		return nil, errorReply(errGone)
	}
	var err error
	if o.at, err = placeOf(d.cc.Path(), name); err != nil {
		return nil, o.end(err)
	}
	return o, nil
}

// do is an operation from its beginning to its end.
func (d *driver) do(verb, name string, f func(ctx context.Context, o *operation) error) error {
	o, err := d.begin(verb, name)
	if err != nil {
		return err
	}
	return o.end(safely(func() error { return f(o.ctx, o) }))
}

// safely is f with a panic as an error.
func safely(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return f()
}

// end logs and counts the operation, and returns the error that the client may see.
func (o *operation) end(err error) error {
	defer o.s.release(o.session)
	if err != nil && o.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = because(context.Cause(o.ctx), err)
	}
	outcome, answer := OK, error(nil)
	if err != nil {
		var r *reply
		r, outcome = replyTo(err)
		answer = r
	}
	took := time.Since(o.start)
	if o.quiet && outcome != Failed {
		return answer
	}
	event := o.event(outcome)
	e := o.s.log.WithLevel(logLevel(outcome))
	e.Str("op", o.verb).Str("event", event).Str("bucket", o.at.bucket).Str("key", o.at.key).Int64("bytes", max(o.in, o.out)).
		Dur("ms", took).Str("remote", o.remote.String()).Str("session", o.id).Err(err)
	if o.hidden > 0 {
		e.Int("hidden", o.hidden)
	}
	if o.to != (place{}) {
		e.Str("to", o.to.path())
	}
	e.Msg("ftp " + event)
	o.s.observe(Event{
		Verb: o.verb, Outcome: outcome, Bucket: o.at.bucket, BytesIn: o.in, BytesOut: o.out, Hidden: o.hidden, Duration: took,
	})
	return answer
}

// unnoted logs that what became of an upload could not be written down. It changes nothing about what is stored.
func (o *operation) unnoted(err error) {
	if err != nil {
		o.s.log.Error().Str("op", o.verb).Str("bucket", o.at.bucket).Str("key", o.at.key).Str("session", o.id).Err(err).
			Msg("what became of an upload could not be noted")
	}
}

// event is what the log calls the end of an operation; uploads are called as in the push door.
func (o *operation) event(outcome string) string {
	switch {
	case o.verb != "STOR" && o.verb != "APPE":
		return outcome
	case outcome == OK:
		return "stored"
	case outcome == Refused:
		return "denied"
	default:
		return "failed"
	}
}

func logLevel(outcome string) zerolog.Level {
	switch outcome {
	case Failed:
		return zerolog.ErrorLevel
	case Aborted:
		return zerolog.WarnLevel
	default:
		return zerolog.InfoLevel
	}
}
