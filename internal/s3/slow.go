package s3

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"time"
)

const (
	// patience is how long an answer waits for its status. Then it begins with 200, and a space every so often keeps the
	// connection alive, as at Amazon.
	patience  = 5 * time.Second
	heartbeat = 10 * time.Second
)

// slowly answers with the document that write makes when work is done. What goes wrong later than patience is told by an error
// document under 200. Patience begins when work calls checked, at most once: what is wrong before has its status.
func (q *request) slowly(work func(checked func()) error, write func(*xmlDoc)) error {
	done := make(chan error, 1)
	begun := make(chan struct{})
	go func() { done <- safely(func() error { return work(func() { close(begun) }) }) }()
	select {
	case err := <-done:
		return q.finishSlowly(err, write)
	case <-begun:
	}
	timer := time.NewTimer(q.s.patience)
	defer timer.Stop()
	for {
		select {
		case err := <-done:
			return q.finishSlowly(err, write)
		case <-timer.C:
			q.keepAlive()
			timer.Reset(q.s.heartbeat)
		}
	}
}

// keepAlive begins the answer, or goes on with it by a space. A client that is gone ends the context of the work.
func (q *request) keepAlive() {
	sign := []byte(" ")
	if q.w.status == 0 {
		q.w.Header()["Content-Type"] = []string{"application/xml"}
		q.send(http.StatusOK)
		sign = newXML().Bytes()
	}
	if _, err := q.w.Write(sign); err == nil {
		_ = q.w.rc.Flush() // a writer that cannot goes without
	}
}

// finishSlowly ends the answer, which may have begun.
func (q *request) finishSlowly(err error, write func(*xmlDoc)) error {
	if q.w.status == 0 {
		if err != nil {
			return err
		}
		x := newXML()
		write(x)
		return q.sendXML(x)
	}
	x := &xmlDoc{} // it was declared already
	if err != nil {
		q.err = answerTo(err, q.bucket, q.key) // the log should know, though the status was 200
		x.err(q, q.err)
	} else {
		write(x)
	}
	_, err = q.w.Write(x.Bytes())
	return err
}

// safely makes an error of a panic.
func safely(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return f()
}
