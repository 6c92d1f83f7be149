package errno

import "syscall"

// systemErrnos are the numbers that only Darwin has and that are near enough to a portable one to say more than EIO does.
var systemErrnos = []hostPair{
	{syscall.ENOATTR, ENODATA},
	{syscall.EFTYPE, EINVAL},
	{syscall.EPROCLIM, EAGAIN},
	{syscall.EAUTH, EACCES},
	{syscall.ENEEDAUTH, EACCES},
}
