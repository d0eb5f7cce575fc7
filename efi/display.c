#include "efi/display.h"

#include "efi/console.h"

typedef EFI_GRAPHICS_OUTPUT_PROTOCOL gop_t;
typedef EFI_GRAPHICS_OUTPUT_MODE_INFORMATION gop_info;

static bool has_pixels(const gop_info *info)
{
	return info->PixelFormat != PixelBltOnly;
}

static gop_t *gop_of(EFI_HANDLE handle)
{
	EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
	void *gop;

	return handle && !EFI_ERROR(BS->HandleProtocol(handle, &guid, &gop)) ? gop : NULL;
}

static bool has_framebuffer(const gop_t *gop)
{
	return gop->Mode->FrameBufferBase != 0 && has_pixels(gop->Mode->Info);
}

/*
 * The display of the console, unless it has no framebuffer: that of several
 * displays together has none. Then the first that has; NULL if there is none.
 */
static gop_t *find_gop(void)
{
	EFI_GUID guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
	gop_t *gop = gop_of(ST->ConsoleOutHandle), *found = NULL;
	EFI_HANDLE *handles;
	UINTN count;

	if (gop && has_framebuffer(gop))
		return gop;
	if (EFI_ERROR(BS->LocateHandleBuffer(ByProtocol, &guid, NULL, &count, &handles)))
		return NULL;
	for (UINTN i = 0; i < count && !found; i++) {
		gop = gop_of(handles[i]);
		if (gop && has_framebuffer(gop))
			found = gop;
	}
	BS->FreePool(handles);
	return found;
}

/* The mode of that size, one with a framebuffer; gop->Mode->MaxMode if there is none. */
static UINT32 find_mode(gop_t *gop, uint32_t width, uint32_t height)
{
	UINT32 mode = 0;
	bool found = false;

	while (mode < gop->Mode->MaxMode && !found) {
		gop_info *info;
		UINTN size;

		if (!EFI_ERROR(gop->QueryMode(gop, mode, &size, &info))) {
			found = info->HorizontalResolution == width &&
				info->VerticalResolution == height && has_pixels(info);
			BS->FreePool(info);
		}
		mode += !found;
	}
	return mode;
}

static bool set_mode(struct boot *boot, gop_t *gop)
{
	uint32_t width = boot->config.width, height = boot->config.height;
	UINT32 mode = find_mode(gop, width, height);

	if (mode == gop->Mode->MaxMode) {
		console_fail(
			"configuration",
			L"resolution is %dx%d, expected one of the display's %d modes, such as "
			L"%dx%d",
			width, height, mode, gop->Mode->Info->HorizontalResolution,
			gop->Mode->Info->VerticalResolution);
		return boot_fail(boot, EFI_UNSUPPORTED);
	}
	if (mode == gop->Mode->Mode)
		return true;

	EFI_STATUS status = gop->SetMode(gop, mode);

	if (!EFI_ERROR(status))
		return true;
	console_fail("configuration", L"resolution %dx%d: SetMode is \"%r\"", width, height,
		     status);
	return boot_fail(boot, status);
}

static void set_masks(struct hoist_framebuffer *fb, uint32_t red, uint32_t green, uint32_t blue)
{
	fb->red_mask = red;
	fb->green_mask = green;
	fb->blue_mask = blue;
}

/* Bits of a pixel: up to the highest that any mask has. */
static uint32_t pixel_bits(const EFI_PIXEL_BITMASK *masks)
{
	uint32_t all = masks->RedMask | masks->GreenMask | masks->BlueMask | masks->ReservedMask;

	return all ? 32 - (uint32_t)__builtin_clz(all) : 0;
}

/* False for a display that only the firmware can draw on, or whose numbers do not fit. */
static bool describe(const gop_t *gop, struct hoist_framebuffer *ret_fb)
{
	const gop_info *info = gop->Mode->Info;
	struct hoist_framebuffer fb = { .address = gop->Mode->FrameBufferBase,
					.size = gop->Mode->FrameBufferSize,
					.width = info->HorizontalResolution,
					.height = info->VerticalResolution,
					.bits_per_pixel = 32 };

	switch (info->PixelFormat) {
	case PixelRedGreenBlueReserved8BitPerColor:
		fb.format = HOIST_PIXELS_RGB;
		set_masks(&fb, 0x0000ff, 0x00ff00, 0xff0000);
		break;
	case PixelBlueGreenRedReserved8BitPerColor:
		fb.format = HOIST_PIXELS_BGR;
		set_masks(&fb, 0xff0000, 0x00ff00, 0x0000ff);
		break;
	case PixelBitMask:
		fb.format = HOIST_PIXELS_MASK;
		fb.bits_per_pixel = pixel_bits(&info->PixelInformation);
		set_masks(&fb, info->PixelInformation.RedMask, info->PixelInformation.GreenMask,
			  info->PixelInformation.BlueMask);
		break;
	case PixelBltOnly:
	case PixelFormatMax:
	default:
		return false;
	}
	fb.pitch = info->PixelsPerScanLine * ((fb.bits_per_pixel + 7) / 8);
	*ret_fb = fb;
	return fb.address != 0 && fb.size != 0 && fb.size - 1 <= UINT64_MAX - fb.address &&
	       fb.pitch != 0 && fb.height <= fb.size / fb.pitch;
}

bool display_choose(struct boot *boot)
{
	struct hoist_framebuffer *fb = &boot->source.info.framebuffer;
	gop_t *gop = find_gop();
	struct hoist_framebuffer described;

	if (gop && boot->config.width != 0 && !set_mode(boot, gop))
		return false;
	if (!gop && boot->config.width != 0)
		console_print(L"hoist: no display with a framebuffer, resolution is ignored\n");
	if (gop && describe(gop, &described)) {
		*fb = described;
		return true;
	}
	if (!boot->choice.framebuffer)
		return true;

	char name[256];

	console_quote(name, sizeof(name), boot->config.kernel.bytes, boot->config.kernel.length);
	console_fail(name,
		     L"option note: framebuffer is required, expected a display that has one");
	return boot_fail(boot, EFI_UNSUPPORTED);
}
