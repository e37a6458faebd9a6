package push

import (
	"context"
	"errors"
	"io/fs"
	"net/http"

	"hugbucket/internal/object"
)

// What goes wrong in this door beside what the object store and the file system return.
var (
	errPath     = errors.New("not a path of this door")
	errToken    = errors.New("token doesn't exist")
	errTooLarge = errors.New("file is larger than the bucket allows")
	errNoFile   = errors.New("missed 'file' field in form")
	errManyFile = errors.New("more than one file in the form")
	errFrame    = errors.New("too much in the form beside the file")
	errBroken   = errors.New("form is broken")
	errCut      = errors.New("upload is incomplete")
	errIdle     = errors.New("no data for too long")
	errSlow     = errors.New("upload is too slow")
	errBucket   = errors.New("cannot create bucket dir or writable")

	errHook      = errors.New("hook failed")
	errTokenBusy = errors.New("too many uploads at once with this token")
	errBusy      = errors.New("too many uploads at once")
)

// answerTo is the error table of this door: the status and the words for the client, which hold nothing but what is
// written here and the rule that a name breaks. Statuses 401, 403, 405, 409 and 412 mean what file-bucket promised.
func answerTo(err error) (status int, text string) {
	if bad, ok := errors.AsType[*object.InvalidError](err); ok {
		return http.StatusBadRequest, bad.Error()
	}
	if _, ok := errors.AsType[*refusedError](err); ok || errors.Is(err, errHook) { // whatever else a hook's failure is
		return http.StatusConflict, "upload aborted due to pre-push hook"
	}
	switch {
	case errors.Is(err, errPath):
		return http.StatusNotFound, "not found"
	case errors.Is(err, errToken):
		return http.StatusForbidden, "token doesn't exist"
	case errors.Is(err, errTooLarge), errors.Is(err, object.ErrTooLarge):
		return http.StatusRequestEntityTooLarge, "file is too large"
	case errors.Is(err, errNoFile):
		return http.StatusPreconditionFailed, "missed 'file' field in form"
	case errors.Is(err, errManyFile):
		return http.StatusBadRequest, "only one file per push, in the field 'file'"
	case errors.Is(err, errFrame):
		return http.StatusBadRequest, "form holds more than 16 KiB beside the file"
	case errors.Is(err, errBroken):
		return http.StatusBadRequest, "form is broken"
	case errors.Is(err, errCut):
		return http.StatusBadRequest, "upload is incomplete"
	case errors.Is(err, errIdle):
		return http.StatusRequestTimeout, "no data for too long"
	case errors.Is(err, errSlow):
		return http.StatusRequestTimeout, "upload is too slow"
	case errors.Is(err, errTokenBusy):
		return http.StatusTooManyRequests, "too many uploads at once with this token"
	case errors.Is(err, errBusy):
		return http.StatusServiceUnavailable, "too many uploads at once"
	case errors.Is(err, object.ErrNoSpace):
		return http.StatusInsufficientStorage, "no space left"
	case errors.Is(err, context.Canceled):
		// The client is gone, or the daemon is about to be: whoever still listens may try again.
		return http.StatusServiceUnavailable, "upload was interrupted"
	case errors.Is(err, errBucket):
		return http.StatusUnauthorized, "cannot create bucket dir or writable"
	case errors.Is(err, object.ErrDigest):
		return http.StatusUnprocessableEntity, "content does not have the digest announced"
	case errors.Is(err, fs.ErrExist), errors.Is(err, object.ErrPrecondition):
		return http.StatusMethodNotAllowed, "file exists"
	case errors.Is(err, object.ErrNoBucket):
		return http.StatusForbidden, "bucket doesn't exist"
	case errors.Is(err, fs.ErrPermission):
		return http.StatusForbidden, "not allowed"
	default:
		return http.StatusInternalServerError, "internal error"
	}
}

// eventOf says how a request ended: stored, refused for its token, denied by a rule, or failed on the way.
func eventOf(status int, err error) string {
	switch {
	case err == nil:
		return "stored"
	case errors.Is(err, errToken):
		return "auth-failed"
	case status >= http.StatusInternalServerError, errors.Is(err, errHook),
		errors.Is(err, errBucket), errors.Is(err, errCut), errors.Is(err, errBroken), errors.Is(err, errIdle), errors.Is(err, errSlow):
		return "failed"
	default:
		return "denied"
	}
}
