'use strict';
module.exports = require('../release.json');
