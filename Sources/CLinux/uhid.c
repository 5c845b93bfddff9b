#define _GNU_SOURCE
#include "CLinux.h"

#include <linux/input.h>
#include <linux/uhid.h>
#include <stddef.h>

#define IS(name, value) _Static_assert((name) == (value), #name " is as <linux/uhid.h> has it")
#define AT(name, member) IS(name, offsetof(struct uhid_event, u.member))

IS(CS_UHID_DESTROY, UHID_DESTROY);
IS(CS_UHID_START, UHID_START);
IS(CS_UHID_STOP, UHID_STOP);
IS(CS_UHID_OPEN, UHID_OPEN);
IS(CS_UHID_CLOSE, UHID_CLOSE);
IS(CS_UHID_OUTPUT, UHID_OUTPUT);
IS(CS_UHID_GET_REPORT, UHID_GET_REPORT);
IS(CS_UHID_GET_REPORT_REPLY, UHID_GET_REPORT_REPLY);
IS(CS_UHID_CREATE2, UHID_CREATE2);
IS(CS_UHID_INPUT2, UHID_INPUT2);
IS(CS_UHID_SET_REPORT, UHID_SET_REPORT);
IS(CS_UHID_SET_REPORT_REPLY, UHID_SET_REPORT_REPLY);

IS(CS_UHID_EVENT_SIZE, sizeof(struct uhid_event));
IS(CS_UHID_DATA_SIZE, UHID_DATA_MAX);

AT(CS_UHID_CREATE2_NAME, create2.name);
AT(CS_UHID_CREATE2_PHYS, create2.phys);
AT(CS_UHID_CREATE2_UNIQ, create2.uniq);
AT(CS_UHID_CREATE2_DESCRIPTOR_SIZE, create2.rd_size);
AT(CS_UHID_CREATE2_BUS, create2.bus);
AT(CS_UHID_CREATE2_VENDOR, create2.vendor);
AT(CS_UHID_CREATE2_PRODUCT, create2.product);
AT(CS_UHID_CREATE2_VERSION, create2.version);
AT(CS_UHID_CREATE2_COUNTRY, create2.country);
AT(CS_UHID_CREATE2_DESCRIPTOR, create2.rd_data);

AT(CS_UHID_INPUT2_SIZE, input2.size);
AT(CS_UHID_INPUT2_DATA, input2.data);

AT(CS_UHID_OUTPUT_DATA, output.data);
AT(CS_UHID_OUTPUT_SIZE, output.size);
AT(CS_UHID_OUTPUT_TYPE, output.rtype);

AT(CS_UHID_REPORT_ID, get_report.id);
AT(CS_UHID_REPORT_NUMBER, get_report.rnum);
AT(CS_UHID_REPORT_TYPE, get_report.rtype);
AT(CS_UHID_REPORT_ID, get_report_reply.id);
AT(CS_UHID_REPLY_ERROR, get_report_reply.err);
AT(CS_UHID_GET_REPORT_REPLY_SIZE, get_report_reply.size);
AT(CS_UHID_REPORT_ID, set_report.id);
AT(CS_UHID_REPORT_NUMBER, set_report.rnum);
AT(CS_UHID_REPORT_TYPE, set_report.rtype);
AT(CS_UHID_SET_REPORT_SIZE, set_report.size);
AT(CS_UHID_SET_REPORT_DATA, set_report.data);
AT(CS_UHID_REPORT_ID, set_report_reply.id);
AT(CS_UHID_REPLY_ERROR, set_report_reply.err);

IS(CS_UHID_OUTPUT_REPORT, UHID_OUTPUT_REPORT);
IS(CS_UHID_BUS_USB, BUS_USB);
