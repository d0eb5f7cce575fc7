#include "loader/control.h"

/* SDM 3A 2.5. */
#define CR4_PAE        (UINT64_C(1) << 5)
#define CR4_MCE        (UINT64_C(1) << 6)
#define CR4_OSFXSR     (UINT64_C(1) << 9)
#define CR4_OSXMMEXCPT (UINT64_C(1) << 10)
#define CR4_LA57       (UINT64_C(1) << 12)

/* SDM 3A 2.2.1. */
#define EFER_LME (UINT64_C(1) << 8)
#define EFER_LMA (UINT64_C(1) << 10)
#define EFER_NXE (UINT64_C(1) << 11)

uint64_t control_cr4(uint64_t firmware)
{
	/* LA57 cannot change while paging is on; machine checks stay as the firmware wants them. */
	return (firmware & (CR4_MCE | CR4_LA57)) | CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
}

uint64_t control_efer(bool nx)
{
	return EFER_LME | EFER_LMA | (nx ? EFER_NXE : 0);
}
