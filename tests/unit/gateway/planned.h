/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CN_TESTS_PLANNED_H
#define CN_TESTS_PLANNED_H

/*
 * Plans from text, for the tests of this folder.
 */

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "gateway/plan.h"
#include "ident/identity.h"

/* An identity that sorts by its number. */
static inline void
planned_identity(uint8_t number, uint8_t ret[CN_IDENTITY_BYTES])
{
	memset(ret, number, CN_IDENTITY_BYTES);
}

static inline const char *
planned_text(uint8_t number)
{
	static char text[256][CN_IDENTITY_TEXT_MAX];
	uint8_t identity[CN_IDENTITY_BYTES];

	planned_identity(number, identity);
	cn_identity_format(identity, text[number]);
	return text[number];
}

/* Returns what cn_plan_create() says, or the loader. */
static inline int
planned(const char *yaml, uint8_t own, const struct cn_plan *old,
    struct cn_diag_list *diags, struct cn_plan **ret)
{
	struct cn_config_text text = {
		.name = "test.yaml", .text = yaml, .len = strlen(yaml)
	};
	uint8_t identity[CN_IDENTITY_BYTES];
	struct cn_config *config = NULL;
	int err = cn_config_parse(&text, 1, diags, &config);

	planned_identity(own, identity);
	if (err == CN_OK) {
		err = cn_plan_create(config, identity, old, diags, ret);
	}
	cn_config_unref(&config);
	return err;
}

#endif /* CN_TESTS_PLANNED_H */
