/*
 * Changes a stream of messages but keeps their frames, which random changes of
 * bytes would destroy: a message is changed within its frame, copied, dropped,
 * or replaced by another one.
 */
#include <stdint.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(
    uint8_t *data, size_t size, size_t max, unsigned seed);

#define FRAMES_MAX 512

struct frames {
	size_t at[FRAMES_MAX + 1]; /* where each begins, and the end */
	size_t n;
};

static void
find_frames(const uint8_t *data, size_t size, struct frames *f)
{
	size_t at = 0, n;

	f->n = 0;
	while (size - at >= 2 && f->n < FRAMES_MAX) {
		n = ((size_t)data[at] << 8 | data[at + 1]) + 2;
		f->at[f->n++] = at;
		at += n < size - at ? n : size - at;
	}
	f->at[f->n] = at;
}

static unsigned
rnd(unsigned *state, size_t below)
{
	*state = *state * 1664525 + 1013904223;
	return (unsigned)((*state >> 8) % below);
}

/* Replaces frame i by a frame of n bytes; 0: there is no room. */
static size_t
splice(uint8_t *data, const struct frames *f, size_t i, const uint8_t *frame,
    size_t n, size_t max)
{
	size_t size = f->at[f->n], old = f->at[i + 1] - f->at[i];

	if (size - old + n > max)
		return 0;
	memmove(data + f->at[i] + n, data + f->at[i + 1], size - f->at[i + 1]);
	memcpy(data + f->at[i], frame, n);
	return size - old + n;
}

/* Lets libFuzzer change a frame's content. */
static size_t
mutate_frame(uint8_t *frame, size_t n, size_t max)
{
	n = n < 2 ? 0 : n - 2;
	n = LLVMFuzzerMutate(frame + 2, n, max - 2);
	frame[0] = (uint8_t)(n >> 8);
	frame[1] = (uint8_t)n;
	return n + 2;
}

size_t
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	static uint8_t frame[65536 + 2];
	struct frames f;
	size_t i, from, n = 0, got = 0;

	find_frames(data, size, &f);
	if (f.n == 0 || rnd(&seed, 50) == 0)
		return LLVMFuzzerMutate(data, size, max);
	i = rnd(&seed, f.n);
	from = rnd(&seed, f.n);
	switch (rnd(&seed, 8)) {
	case 0: /* drop */
		got = splice(data, &f, i, frame, 0, max);
		break;
	case 1: /* insert another before it */
		n = f.at[from + 1] - f.at[from];
		memcpy(frame, data + f.at[from], n);
		if (n + f.at[i + 1] - f.at[i] <= sizeof(frame)) {
			memcpy(
			    frame + n, data + f.at[i], f.at[i + 1] - f.at[i]);
			n += f.at[i + 1] - f.at[i];
		}
		got = splice(data, &f, i, frame, n, max);
		break;
	case 2: /* replace it by another */
		n = f.at[from + 1] - f.at[from];
		memcpy(frame, data + f.at[from], n);
		got = splice(data, &f, i, frame, n, max);
		break;
	default:
		n = f.at[i + 1] - f.at[i];
		memcpy(frame, data + f.at[i], n);
		n = mutate_frame(frame, n,
		    n + 256 < sizeof(frame) ? n + 256 : sizeof(frame));
		got = splice(data, &f, i, frame, n, max);
	}
	return got > 0 ? got : LLVMFuzzerMutate(data, size, max);
}
